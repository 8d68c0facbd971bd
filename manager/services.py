"""What the HTTP API stands on. The protocols are all that it knows of the living parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from manager.archives import Place
from manager.dead_letters import LISTED
from manager.machines.sights import CloudView
from manager.model import (
    EVERY,
    Archive,
    ArchiveStatus,
    Backlog,
    Chosen,
    DeadLetter,
    LogEntry,
    NodeStatus,
    OperationStatus,
    StreamRate,
)
from manager.people import People
from manager.store import Store
from manager.tap import Tap
from manager.users import Users
from streams.control import TrialTold
from streams.definition import ProcessDefinition
from streams.message import Message


class Broker(Protocol):
    """The broker's topology. Every method raises BrokerError where the broker can't or won't."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there, as far as this side knows."""

    def depth(self, queue: str) -> int:
        """Return how many messages are ready in a queue, exactly."""

    @property
    def people(self) -> People:
        """Who may use which streams."""

    def stream_rates(self) -> Mapping[str, StreamRate]:
        """Return what comes on each stream on which something came lately."""

    def stream_history(
        self, stream: str, *, age_s: int, step_s: int
    ) -> Sequence[tuple[float, float]]:
        """Return when, in seconds since 1970, how much came on a stream a second."""

    def collectors(self, stream: str) -> Sequence[str]:
        """Return the queues and exchanges that collect a stream; not who only looks."""

    def tap(self, stream: str) -> Tap:
        """Return a look at a stream, which is no demand."""

    def publish(self, stream: str, message: Message) -> bool:
        """Publish one message, confirmed; say whether anybody collected it."""

    def create_stream(self, name: str) -> None:
        """Make sure that a stream exists."""

    def delete_stream(self, name: str) -> None:
        """Delete a stream."""

    def create_operation(self, name: str) -> None:
        """Make sure that an operation's queues exist."""

    def delete_operation(self, name: str) -> tuple[int, int]:
        """Delete an operation's queues; return how many inputs and dead letters went too."""

    def set_backlog(self, operation: str, backlog: Backlog) -> None:
        """Bound what an operation's queue holds, or free it."""

    def purge(self, name: str) -> int:
        """Empty an operation's queue; return how many messages it held."""

    def dead_letters(self, name: str, limit: int = LISTED) -> Sequence[DeadLetter]:
        """Return an operation's first dead letters, which stay where they are."""

    def redrive(self, name: str, limit: int | None = None, chosen: Chosen = EVERY) -> int:
        """Give an operation its dead letters again, the chosen ones; return how many."""

    def purge_dead(self, name: str) -> int:
        """Throw away an operation's dead letters; return how many."""

    def create_archive(self, stream: str) -> None:
        """Make sure that the queue of a stream's archive exists, and collects."""

    def end_archive(self, stream: str, mark: str) -> None:
        """Let the archive of a stream collect nothing more, and mark the end."""

    def subscriptions(self) -> Sequence[tuple[str, int]]:
        """Return each subscription's queue and how many messages wait in it."""

    def remove_subscription(self, stream: str, name: str) -> int:
        """Delete a subscription; return how many messages waited in it."""

    def foreign_bindings(self, stream: str) -> Sequence[str]:
        """Return the queues, other than operations', that collect a stream."""

    def add_node(self, name: str) -> Mapping[str, Any]:
        """Make a node's broker user; return what its agent.json says of the broker."""

    def remove_node(self, name: str) -> None:
        """Delete a node's broker user, which closes its connections."""


class Runtime(Protocol):
    """What goes on. Nothing here waits for the broker, but for `broker` itself."""

    @property
    def broker(self) -> Broker:
        """The broker's topology."""

    @property
    def place(self) -> Place:
        """Where archives are stored."""

    def archive_status(self, archive: Archive) -> ArchiveStatus:
        """Return how an archive is."""

    def poke(self) -> None:
        """Look at the store now: something changed."""

    def notes(self) -> list[str]:
        """Return what endangers messages though the manager does its work, a line each."""

    def live(self) -> bool:
        """Say whether changes on the broker are seen at once."""

    def problems(self) -> Sequence[str]:
        """Return what keeps the manager from working; nothing when it is ready."""

    def statuses(self) -> Mapping[str, OperationStatus]:
        """Return what each operation does."""

    def nodes(self) -> Sequence[NodeStatus]:
        """Return what each node does."""

    def forget_node(self, name: str) -> None:
        """Let go of a node that was removed."""

    def clouds(self) -> Sequence[CloudView]:
        """Return the clouds of the inventory, as this manager knows them."""

    def leads(self) -> bool:
        """Say whether this manager is the one that decides."""

    def renew_machine(self, node: str, hours: float) -> str:
        """Let the lease of a launched machine end `hours` from now; return what went wrong."""

    def logs(self, operation: str) -> Sequence[LogEntry]:
        """Return the last lines of an operation's stderr, oldest first."""

    def try_out(self, definition: ProcessDefinition, body: bytes, content_type: str) -> TrialTold:
        """Have a program tried on a node; return what came of it. It waits for that."""

    def metrics(self) -> bytes:
        """Return everything counted, as Prometheus reads it."""

    def stream_consumers(self, streams: Iterable[str]) -> Mapping[str, int]:
        """Return how many consumers each of these streams has."""


@dataclass(frozen=True, slots=True)
class Services:
    """The parts behind the API."""

    store: Store
    users: Users
    runtime: Runtime
