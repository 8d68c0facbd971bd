"""What manager and agents say to one another on `streamboss.control`: JSON with a version `v`.

An **assignment** is a node's whole wanted set with the leader's term, not a command: saying it
twice is saying it once. A **heartbeat** is what a node is and does. Unknown fields are ignored,
so that a newer side may say more; another major version is refused (the manager shows such a
node as `outdated`).

A **trial** is a definition that somebody wants tried on a node, once, before it is saved.

Routing keys: `to.<node>` for assignments and trials, `from.<node>.heartbeat`, `from.<node>.log` and
`from.<node>.tried` for what nodes say. A node's broker user may use no others (topic permissions).
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from streams.access import ObjectStore
from streams.definition import Limits, ProcessDefinition
from streams.errors import ControlError

VERSION = 1
#: Seconds between two heartbeats, and after how many without one a node is late or lost.
HEARTBEAT_S = 2.0
LATE_S = 6.0
LOST_S = 15.0
#: What a node offers that takes any application without an image of its own.
ANY_APPLICATION = "any"
#: No control message is longer, in bytes: whoever has an agent's login may send any.
MOST_BYTES = 16 * 1024 * 1024
#: The longest that a program is tried, in seconds; the most that it is given, and that is shown.
TRIAL_S = 30.0
TRIAL_BYTES = 64 * 1024


#: Seconds since 1970, up to the year 9999.
_Moment = Annotated[float, Field(ge=0, lt=253_370_764_800)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class OperatorState(StrEnum):
    """What an operator says of itself."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def _known(model: type[BaseModel], raw: object) -> object:
    """Return `raw` without the fields that this side doesn't know."""
    if not isinstance(raw, dict):
        return raw
    return {name: value for name, value in raw.items() if name in model.model_fields}


def _of_a_newer_manager(value: object) -> object:
    # a definition is checked to the letter where people write it; here it is checked already
    definition = _known(ProcessDefinition, value)
    if isinstance(definition, dict) and "limits" in definition:
        definition["limits"] = _known(Limits, definition["limits"])
    return definition


_Definition = Annotated[ProcessDefinition, BeforeValidator(_of_a_newer_manager)]


class Assigned(_Said):
    """One operation as an agent has to run it.

    `revision` changes whenever the program must be started anew (another definition or stream).
    With `draining` the operator takes nothing more, finishes what it has within `drain_s`, ends.
    """

    operation: str
    revision: int
    definition: _Definition
    input_stream: str
    output_stream: str
    instances: int = 1
    draining: bool = False
    drain_s: float = 30.0
    #: keys travel with the assignment, so that none is in an image
    objects: ObjectStore = ObjectStore()


class Assignment(_Said):
    """A node's whole wanted set, from the leader of `term`."""

    v: int = VERSION
    term: int
    node: str
    incarnation: str
    operations: tuple[Assigned, ...] = ()


class Counters(_Said):
    """Totals since the operator started. Latencies are of the last minute, in seconds."""

    received: _Count = 0
    published: _Count = 0
    acknowledged: _Count = 0
    retried: _Count = 0
    dead_lettered: _Count = 0
    uncollected: _Count = 0
    restarts: _Count = 0
    in_hand: _Count = 0
    exit_statuses: dict[str, _Count] = Field(default_factory=dict)
    latency_p50_s: float | None = None
    latency_p99_s: float | None = None


class OperatorReport(_Said):
    """One operator as its agent last heard of it."""

    operation: str
    revision: int
    state: OperatorState
    reason: str = ""
    pid: int | None = None
    started_at: _Moment | None = None
    counters: Counters = Counters()


class Heartbeat(_Said):
    """What a node is and does. Times in seconds since 1970; load as the OS counts it."""

    v: int = VERSION
    node: str
    incarnation: str
    term: int = 0
    slots: _Count
    offers: tuple[str, ...]
    state: str = "ready"
    started_at: _Moment = 0.0
    cpu_percent: float | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    operators: tuple[OperatorReport, ...] = ()
    #: whether it takes trials; older agents don't say
    tries: bool = False


class LogLines(_Said):
    """A piece of a program's stderr: text, at most a few KiB, oldest first."""

    v: int = VERSION
    node: str
    operation: str
    at: _Moment
    lines: tuple[str, ...]
    dropped: _Count = 0


class TrialAsked(_Said):
    """A program to be run once, over one message (base64) of at most `TRIAL_BYTES`."""

    v: int = VERSION
    kind: Literal["try"] = "try"
    trial: str
    node: str
    definition: _Definition
    body: str
    content_type: str


class TrialOutput(_Said):
    """A message that came out: its beginning (base64), and how long it is as a whole."""

    body: str
    size_bytes: int


class TrialTold(_Said):
    """What came of a trial: `problem` says why it couldn't be made; else the rest is there.

    `outcome` is what an operation would do about it, `reason` why the program failed, or empty.
    `outputs` are the first ones, `output_messages` how many there were.
    """

    v: int = VERSION
    trial: str
    node: str
    problem: str = ""
    ok: bool = False
    outputs: tuple[TrialOutput, ...] = ()
    output_messages: int = 0
    exit_status: str | None = None
    reason: str = ""
    outcome: str = ""
    stderr: str = ""
    duration_s: float = 0.0
    held_back: bool = False


SaidT = TypeVar("SaidT", bound=_Said)


def assignment_key(node: str) -> str:
    """Return the routing key of assignments for `node`."""
    return f"to.{node}"


def heartbeat_key(node: str) -> str:
    """Return the routing key of a node's heartbeats."""
    return f"from.{node}.heartbeat"


def log_key(node: str) -> str:
    """Return the routing key of a node's stderr lines."""
    return f"from.{node}.log"


def trial_key(node: str) -> str:
    """Return the routing key of what a node tells of a trial."""
    return f"from.{node}.tried"


#: What the manager binds its queue with.
FROM_NODES = "from.#"


def encode(said: BaseModel) -> bytes:
    """Return a control message as JSON."""
    return said.model_dump_json().encode()


def as_object(raw: bytes) -> Mapping[str, Any]:
    """Return the message as a mapping, whatever its version.

    Raises:
        ControlError: not a JSON object.
    """
    if len(raw) > MOST_BYTES:
        raise ControlError(f"a control message of {len(raw)} bytes")
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        raise ControlError("a control message that isn't JSON") from None
    if not isinstance(said, dict):
        raise ControlError("a control message that isn't a JSON object")
    return said


def decode(kind: type[SaidT], raw: bytes) -> SaidT:
    """Return a control message of that kind.

    Raises:
        ControlError: not JSON, another version, or not of that kind.
    """
    said = as_object(raw)
    if said.get("v") != VERSION:
        raise ControlError(f"control version {said.get('v')!r}: this side speaks {VERSION}")
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        raise ControlError(
            f"a {kind.__name__.lower()} with {error.error_count()} problems"
        ) from None
