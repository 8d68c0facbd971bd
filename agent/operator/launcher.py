"""How an operation's program is started, again and again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent.operator import cgroup
from agent.operator.cgroup import Cgroup
from agent.operator.child import Child, Exit
from agent.operator.command import as_user, limited
from agent.operator.reaper import Reaper
from agent.operator.sandbox import Sandbox
from agent.operator.settle import Settling
from agent.operator.spawn import CannotRunError, Stdin, spawn
from agent.operator.tail import LogLines
from streams.broker import EventLoop
from streams.definition import Limits


@dataclass(slots=True)
class Launcher:
    """Everything about a start that stays the same from one to the next."""

    loop: EventLoop
    reaper: Reaper
    words: tuple[str, ...]
    environment: Mapping[str, str]
    limits: Limits
    log: LogLines
    #: the user who runs it; None: ours
    run_as: str | None = None
    #: what is built around it, or nothing
    sandbox: Sandbox | None = None
    #: what the paths of its cgroups begin with, by controller; empty: none can be made
    cgroups: Mapping[str, str] = field(default_factory=dict)
    _starts: int = 0

    def start(
        self,
        extra: Mapping[str, str],
        stdin: Stdin,
        *,
        on_output: Callable[[bytes], None],
        on_end: Callable[[Exit], None],
    ) -> tuple[Child, int | None]:
        """Start the program; return it and the pipe to its stdin, if it has one.

        Raises:
            CannotRunError: the kernel refused.
        """
        environment = {**self.environment, **extra}
        group = self._make_cgroup()
        words = limited(self.words, self.limits, in_cgroup=group is not None)
        if self.sandbox is not None:
            words = self.sandbox.wrapped(words)
        words = as_user(words, self.run_as)
        try:
            pipes = spawn(group.entered(words) if group else words, environment, stdin)
        except CannotRunError:
            if group is not None:
                group.remove()
            raise
        child = Child(
            self.loop,
            self.reaper,
            pipes,
            self.log,
            sandboxed=self.sandbox is not None,
            cgroup=group,
            on_output=on_output,
            on_end=on_end,
        )
        return child, pipes.stdin

    def problem(self) -> str | None:
        """Say why the program can't be run with what is around it, or None."""
        if cgroup.needed(self.limits) and not self.cgroups:
            return (
                "limits 'processes' and 'cpus' need cgroups, and this agent can make none:"
                " run it as a unit of systemd with Delegate=yes"
            )
        if self.sandbox is None:
            return None
        return self.sandbox.problem(self.words[0], self.run_as)

    def _make_cgroup(self) -> Cgroup | None:
        if not self.cgroups or not cgroup.wanted(self.limits):
            return None
        self._starts += 1
        try:
            return cgroup.make(self.cgroups, self._starts, self.limits)
        except OSError as error:
            raise CannotRunError(f"no cgroup for the program: {error.strerror}") from None

    def settling(
        self, pid: int, *, settle_s: float, strays: Callable[[], Iterable[int]]
    ) -> Settling:
        """Return what finds out whether a program that was started has done all it was given."""
        return Settling(pid, settle_s=settle_s, strays=strays, sandboxed=self.sandbox is not None)
