"""How an operation's program is started, again and again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.operator.child import Child, Exit
from agent.operator.command import as_user, limited
from agent.operator.reaper import Reaper
from agent.operator.sandbox import Sandbox
from agent.operator.settle import Settling
from agent.operator.spawn import Stdin, spawn
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
        words = limited(self.words, self.limits)
        if self.sandbox is not None:
            words = self.sandbox.wrapped(words)
        pipes = spawn(as_user(words, self.run_as), environment, stdin)
        child = Child(
            self.loop,
            self.reaper,
            pipes,
            self.log,
            sandboxed=self.sandbox is not None,
            on_output=on_output,
            on_end=on_end,
        )
        return child, pipes.stdin

    def problem(self) -> str | None:
        """Say why the program can't be run with what is around it, or None."""
        if self.sandbox is None:
            return None
        return self.sandbox.problem(self.words[0], self.run_as)

    def settling(
        self, pid: int, *, settle_s: float, strays: Callable[[], Iterable[int]]
    ) -> Settling:
        """Return what finds out whether a program that was started has done all it was given."""
        return Settling(pid, settle_s=settle_s, strays=strays, sandboxed=self.sandbox is not None)
