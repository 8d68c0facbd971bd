"""What both kinds of runners work with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.operator.fate import Fate
from agent.operator.fetching import Fetching
from agent.operator.health import Health
from agent.operator.intake import Intake, Item
from agent.operator.launcher import Launcher
from agent.operator.outbox import Outbox
from agent.operator.report import Reporter, Tally
from agent.operator.storage import Storage
from agent.operator.transfers import Transfers
from streams.broker import EventLoop
from streams.definition import ProcessDefinition
from streams.message import MAX_INLINE_BYTES


@dataclass(slots=True)
class Parts:
    """One operation's parts, put together by `assembly`."""

    loop: EventLoop
    launcher: Launcher
    definition: ProcessDefinition
    intake: Intake
    outbox: Outbox
    fate: Fate
    health: Health
    reporter: Reporter
    tally: Tally
    transfers: Transfers
    fetching: Fetching
    storage: Storage

    @property
    def max_output_bytes(self) -> int:
        """How large one output may be; nothing over 64 MiB travels without S3."""
        if self.storage.missing:
            return self.max_frame_bytes
        return self.definition.max_output_bytes

    @property
    def max_frame_bytes(self) -> int:
        """How large one output of a service may be, which is in memory as a whole."""
        return min(self.definition.max_output_bytes, MAX_INLINE_BYTES)

    @property
    def too_much(self) -> str:
        """Say that an output is too large."""
        allowed = self.max_output_bytes
        if allowed < self.definition.max_output_bytes:
            return f"more than {allowed} bytes of output: {self.storage.missing}"
        return f"more than {allowed} bytes of output (max_output_bytes)"


class Runner(Protocol):
    """Runs the operation's program over the inputs."""

    @property
    def busy(self) -> bool:
        """Whether a program works on an input."""

    @property
    def empty(self) -> bool:
        """Whether all outputs of inputs that are through have gone to the outbox."""

    def pump(self) -> None:
        """Begin whatever may begin now: something has changed."""

    def skip(self, item: Item) -> None:
        """Leave out an input that went to the dead letters without the program."""

    def finish(self, then: Callable[[], None]) -> None:
        """End the programs, which have nothing to do any more; then call back."""

    def kill(self) -> None:
        """End the programs at once."""
