"""How an operation's program is started, again and again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.operator.child import Child, Exit
from agent.operator.command import as_user, limited
from agent.operator.reaper import Reaper
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
        words = as_user(limited(self.words, self.limits), self.run_as)
        pipes = spawn(words, environment, stdin)
        child = Child(self.loop, self.reaper, pipes, self.log, on_output=on_output, on_end=on_end)
        return child, pipes.stdin
