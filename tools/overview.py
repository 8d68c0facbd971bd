"""What the manager sees at a glance: operations, nodes, and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tools.counts import count

if TYPE_CHECKING:
    from manager.client import ManagerClient

Thing = Mapping[str, Any]
#: A program starts, or has said why not, within this.
_STARTING_S = 15
#: What is shown first, where there is more than a screen holds.
_ORDER = ("failed", "starting", "draining", "lingering", "running", "paused", "idle")
_SICK = {
    "late": "hasn't been heard of for a while",
    "lost": "isn't heard of any more: its operations go elsewhere",
    "outdated": "its agent is of another version than the manager: upgrade it",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at everything that a manager manages."""

    operations: Sequence[Thing] = ()
    nodes: Sequence[Thing] = ()
    #: what is wrong, a line each
    problems: Sequence[str] = ()
    #: what is worth knowing, and isn't wrong
    notes: Sequence[str] = ()


def look(manager: "ManagerClient") -> Overview:
    """Ask the manager.

    Raises:
        ManagerError: it doesn't answer, or not to us.
    """
    problems, notes = manager.readiness()
    operations, nodes = manager.list("operations"), manager.list("nodes")
    archives = manager.list("archives")
    return Overview(
        operations=sorted(operations, key=_by_trouble),
        nodes=nodes,
        problems=[
            *problems,
            *wrong(operations, nodes, datetime.now(UTC)),
            *_archive_problems(archives),
        ],
        notes=[*notes, *_letters(operations)],
    )


def wrong(operations: Sequence[Thing], nodes: Sequence[Thing], now: datetime) -> list[str]:
    """Return what is wrong with operations and nodes, a line each."""
    return [*_operation_problems(operations, now), *_node_problems(nodes)]


def _by_trouble(operation: Thing) -> tuple[int, str]:
    state = operation["state"]
    return _ORDER.index(state) if state in _ORDER else len(_ORDER), operation["name"]


def _operation_problems(operations: Sequence[Thing], now: datetime) -> Iterator[str]:
    for operation in operations:
        why = operation["reason"] or "its logs may say why"
        if operation["state"] == "failed":
            yield f"operation {operation['name']}: failed: {why}"
        elif operation["state"] == "starting" and _seconds(operation, now) > _STARTING_S:
            yield f"operation {operation['name']}: wanted, and not at work yet: {why}"


def _seconds(operation: Thing, now: datetime) -> float:
    """Return how long an operation has been in its state."""
    since = operation["since"]
    return (now - datetime.fromisoformat(since)).total_seconds() if since else 0


def _node_problems(nodes: Sequence[Thing]) -> Iterator[str]:
    for node in nodes:
        if text := _SICK.get(node["state"]):
            yield f"node {node['name']}: {node['state']}: {text}"


def _archive_problems(archives: Sequence[Thing]) -> Iterator[str]:
    for archive in archives:
        if archive["state"] == "waiting":
            yield f"archive of stream {archive['stream']}: waiting: {archive['reason']}"


def _letters(operations: Sequence[Thing]) -> Iterator[str]:
    for operation in operations:
        if number := operation["dead_letters"]:
            name = operation["name"]
            letters = count(number, "dead letter")
            yield f"operation {name}: {letters}: 'streamboss dead-letters {name}' shows them"
