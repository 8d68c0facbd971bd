"""What the manager knows, as plain values: shared by store, API, reconcile and dispatcher."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from streams.application import appliance_of
from streams.control import ANY_APPLICATION, Counters, OperatorReport
from streams.definition import ProcessDefinition


class Role(StrEnum):
    """What a user may do: look; make and change what is theirs; everything."""

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


class DemandMode(StrEnum):
    """When an operation is wanted: with consumers, always; or held by a person."""

    CONSUMERS = "consumers"
    ALWAYS = "always"
    PAUSED = "paused"


class OperationState(StrEnum):
    """What an operation does just now; `reason` says why in a sentence."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    LINGERING = "lingering"
    DRAINING = "draining"
    PAUSED = "paused"
    FAILED = "failed"


class NodeState(StrEnum):
    """What a node is, by the manager's clock."""

    BOOTING = "booting"
    READY = "ready"
    LATE = "late"
    LOST = "lost"
    DRAINING = "draining"
    GONE = "gone"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Instances:
    """How many operators an operation may have."""

    min: int = 1
    max: int = 1


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an operation's queue may hold before it drops its oldest; None is no bound."""

    max_messages: int | None = None
    max_bytes: int | None = None
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may use the API; `buckets` are those that their operations may read."""

    name: str
    role: Role
    buckets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A token that logs a user in. `id` tells it from others, and logs nobody in."""

    id: str
    label: str
    created_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A version of a process definition, and who made it when; versions count from 1."""

    id: int
    version: int
    owner: str
    definition: ProcessDefinition
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that the manager knows."""

    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A process definition applied to an input stream, giving an output stream.

    `revision` changes with anything that needs the program started anew.
    """

    name: str
    owner: str
    process_definition_id: int
    definition: ProcessDefinition
    input_stream: str
    output_stream: str
    revision: int = 1
    demand: DemandMode = DemandMode.CONSUMERS
    instances: Instances = Instances()
    linger_s: float = 30.0
    drain_s: float = 30.0
    backlog: Backlog = Backlog()


@dataclass(frozen=True, slots=True)
class StreamRate:
    """What came on a stream: messages since the broker started, and messages a second now.

    `rate_out` counts each message once for each queue that took it.
    """

    messages: int
    rate: float
    rate_out: float = 0.0


class ArchivePhase(StrEnum):
    """What a person asked of an archive, and whether its end has come."""

    RECORDING = "recording"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ArchiveState(StrEnum):
    """What an archive does just now; `reason` says why in a sentence."""

    RECORDING = "recording"
    WAITING = "waiting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Stored:
    """Segments that were stored one after the other. Positions number an archive's messages."""

    segments: int
    size_bytes: int
    first_position: int
    next_position: int
    first_at: datetime
    last_at: datetime
    last_key: str

    def followed_by(self, later: "Stored") -> "Stored":
        """Return both together."""
        return replace(
            later,
            segments=self.segments + later.segments,
            size_bytes=self.size_bytes + later.size_bytes,
            first_position=self.first_position,
            first_at=self.first_at,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What an archive holds, as of its last acknowledged segment.

    Positions number its messages from 0: those before `first_position` are no longer kept.
    """

    segments: int = 0
    size_bytes: int = 0
    first_position: int = 0
    next_position: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    last_key: str | None = None

    @property
    def messages(self) -> int:
        """How many messages it holds."""
        return self.next_position - self.first_position


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive of a stream; `problem` is what its archiver can't get over just now."""

    stream: str
    owner: str
    phase: ArchivePhase = ArchivePhase.RECORDING
    passive: bool = False
    keep_days: float | None = None
    problem: str = ""
    tally: Tally = Tally()


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """An archive as the manager sees it now. The lag counts messages that aren't stored yet."""

    state: ArchiveState
    reason: str = ""
    lag_messages: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node that was added; what it is and does comes from its heartbeats.

    `draining`: a person wants it to take nothing new. `offers`: the applications that it may offer.
    """

    name: str
    owner: str
    added_at: datetime
    draining: bool = False
    offers: tuple[str, ...] = (ANY_APPLICATION,)

    def allowed(self, heard: Iterable[str]) -> tuple[str, ...]:
        """Return what counts of the offers that it makes.

        Who has stolen its login may say anything, and gets the streams of what it is given to run.
        """
        if ANY_APPLICATION in self.offers:
            return tuple(heard)
        return tuple(o for o in heard if {o, appliance_of(o)} & {*self.offers})

    def state(self, heard: NodeState) -> NodeState:
        """Return its state, by what is heard of it: told to drain, it takes nothing new."""
        works = heard in {NodeState.READY, NodeState.LATE}
        return NodeState.DRAINING if self.draining and works else heard


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of an operation, as the node that has it last said."""

    node: str
    report: OperatorReport

    @property
    def since(self) -> datetime | None:
        """When it began, by its node's clock."""
        at = self.report.started_at
        return datetime.fromtimestamp(at, UTC) if at else None


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """An operation as the manager sees it now. Backlog counts unacknowledged messages, too."""

    state: OperationState = OperationState.IDLE
    reason: str = ""
    nodes: tuple[str, ...] = ()
    backlog_messages: int | None = None
    dead_letters: int | None = None
    since: datetime | None = None
    counters: Counters = field(default_factory=Counters)
    rate_in: float | None = None
    rate_out: float | None = None
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as the manager sees it now. Times by the manager's clock."""

    name: str
    state: NodeState
    incarnation: str = ""
    slots: int = 0
    offers: tuple[str, ...] = (ANY_APPLICATION,)
    operations: tuple[str, ...] = ()
    operators: int = 0
    last_seen: datetime | None = None
    started_at: datetime | None = None
    cpu_percent: float | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Some lines of an operation's stderr."""

    at: datetime
    node: str
    lines: tuple[str, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which dead letters: one by its id, or those with a text in reason or stderr; None: all."""

    message_id: str | None = None
    matching: str | None = None

    def __call__(self, letter: "DeadLetter") -> bool:
        """Say whether a dead letter is meant."""
        if self.message_id is not None and letter.message_id != self.message_id:
            return False
        text = f"{letter.reason}\n{letter.stderr}".casefold()
        return self.matching is None or self.matching.casefold() in text


EVERY = Chosen()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that an operation gave up on, and why.

    `body` is the beginning of its `size_bytes`: enough to look at, and little enough to list many.
    """

    message_id: str | None
    content_type: str | None
    reason: str
    exit_status: str | None
    attempts: int | None
    node: str | None
    failed_at: str | None
    stderr: str
    body: bytes
    size_bytes: int
    headers: dict[str, object] = field(default_factory=dict)
