"""What one plan leaves for the next to remember of each operation. Pure."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from manager.dispatcher import NodeView
from manager.model import NodeState, Operation
from manager.reconcile.instances import Scale
from streams.control import OperatorReport, OperatorState
from streams.definition import Order

#: States in which a node does what it was told.
ALIVE = frozenset({NodeState.READY, NodeState.LATE, NodeState.DRAINING, NodeState.BOOTING})

#: What the living nodes say of each operation: operation -> node -> reports.
Reports = Mapping[str, Mapping[str, list[OperatorReport]]]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the last plan left to remember of one operation. Times on the plan's own clock."""

    unwanted_since: float | None = None
    nodes: Mapping[str, int] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()
    scale: Scale | None = None


def reports(nodes: Iterable[NodeView]) -> Reports:
    """Return what the living nodes say, without operators that have stopped."""
    said: dict[str, dict[str, list[OperatorReport]]] = defaultdict(dict)
    for node in nodes:
        if node.state in ALIVE:
            for report in node.reports:
                if report.state is not OperatorState.STOPPED:
                    said[report.operation].setdefault(node.name, []).append(report)
    return said


def remembered(
    old: Memory | None, said: Mapping[str, list[OperatorReport]], *, is_wanted: bool, now: float
) -> Memory:
    """Bring an operation's memory up to what is `said` now, before anything is decided."""
    if old is None:  # new, or the manager is: what runs was placed by its predecessor
        nodes = {
            name: len(mine)
            for name, mine in said.items()
            if any(r.state is not OperatorState.DRAINING for r in mine)
        }
        scale = Scale(sum(nodes.values())) if nodes else None
        old = Memory(nodes=nodes, draining=frozenset(said) - frozenset(nodes), scale=scale)
    since = None if is_wanted else (now if old.unwanted_since is None else old.unwanted_since)
    draining = frozenset(n for n in old.draining if n in said) if old.draining else old.draining
    if since == old.unwanted_since and draining == old.draining:
        return old  # most are as they were: nothing is made that needs to be cleaned up
    return replace(old, unwanted_since=since, draining=draining)


def moved(memory: Memory, nodes: Mapping[str, int]) -> Memory:
    """Put the placement into memory; where it was and isn't any more, it drains."""
    if memory.nodes == nodes and not memory.draining:
        return memory
    left = frozenset(name for name in memory.nodes if name not in nodes)
    return replace(memory, nodes=dict(nodes), draining=(memory.draining | left) - frozenset(nodes))


def must_wait(operation: Operation, memory: Memory, node: str, said: Container[str]) -> bool:
    """Say whether a node begins only when another has finished: so order is kept on the way.

    That is promised of an operation with one instance. Who began already isn't held up any more.
    """
    alone = operation.definition.order is Order.FIFO and operation.instances.max == 1
    return alone and node not in said and any(other in said for other in memory.draining)
