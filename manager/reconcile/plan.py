"""What to bind, unbind and assign, and what to call each operation's state. Pure.

Demand binds a chain downstream first, at once, before any node is there; its end is waited out
(linger), and then the chain is taken down from upstream: unbound, drained, ended, one operation
after the other, so that what was under way still finds its next operation.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from manager.demand import BrokerView, wanted_operations
from manager.dispatcher import NodeView, Placement, place
from manager.model import DemandMode, NodeState, Operation, OperationState
from streams.access import ObjectStore
from streams.control import Assigned, OperatorReport, OperatorState

_ALIVE = frozenset({NodeState.READY, NodeState.LATE, NodeState.DRAINING, NodeState.BOOTING})

#: What an operation is when one of its operators says so; the first that is said counts.
_MEANS = (
    (OperatorState.RUNNING, OperationState.RUNNING),
    (OperatorState.FAILED, OperationState.FAILED),
    (OperatorState.STARTING, OperationState.STARTING),
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the last plan left to remember of one operation. Times on the plan's own clock."""

    unwanted_since: float | None = None
    nodes: Mapping[str, int] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a plan is made from.

    `settled`: each known node was heard or given up, so that what looks unassigned is.
    `demand_known`: all demand was seen, so that what looks unwanted is. `instances` holds the
    number wanted of an operation where it isn't its minimum. `objects` goes to every operator.
    """

    now: float
    operations: Sequence[Operation]
    view: BrokerView
    nodes: Sequence[NodeView]
    settled: bool = True
    demand_known: bool = True
    instances: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    objects: ObjectStore = field(default_factory=ObjectStore)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An operation's state, with its reason in a sentence, and the nodes that have it."""

    state: OperationState
    reason: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order: bind, assign, unbind."""

    bind: tuple[Operation, ...] = ()
    unbind: tuple[Operation, ...] = ()
    assignments: Mapping[str, tuple[Assigned, ...]] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    placement: Placement = field(default_factory=Placement)
    settled: bool = True
    #: seconds until something changes by time alone, None if nothing does
    next_look_s: float | None = None


def plan(seen: Observed) -> Plan:
    """Decide. Applying the same plan twice is applying it once.

    Before everything is settled nothing but binding is done: who runs what isn't known yet.
    """
    wanted = wanted_operations(seen.operations, seen.view)
    order = downstream_first(seen.operations)
    bind = tuple(o for o in order if o.name in wanted and not _bound(o, seen))
    if not seen.settled:
        return Plan(bind=bind, wanted=wanted, settled=False)
    # until all demand was seen nothing counts as unwanted, and what runs counts as wanted
    unknown = not seen.demand_known
    memory = {o.name: _remember(o, seen, unknown or o.name in wanted) for o in seen.operations}
    if unknown:
        wanted |= {name for name, mine in memory.items() if mine.nodes}
    ending = _ending(seen, memory)
    running = [
        (operation, max(1, seen.instances.get(operation.name, operation.instances.min)))
        for operation in seen.operations
        if operation.demand is not DemandMode.PAUSED
        and (
            operation.name in wanted
            or (memory[operation.name].nodes and operation.name not in ending)
        )
    ]
    placement = place(running, seen.nodes, {name: m.nodes for name, m in memory.items()})
    memory = {name: _moved(m, placement.nodes.get(name, {})) for name, m in memory.items()}
    return Plan(
        bind=bind,
        unbind=tuple(o for o in reversed(order) if o.name in ending and _bound(o, seen)),
        assignments=_assignments(seen, memory),
        verdicts={o.name: _verdict(o, seen, wanted, memory, placement) for o in seen.operations},
        memory=memory,
        wanted=wanted,
        placement=placement,
        next_look_s=_next_look_s(seen, memory),
    )


def downstream_first(operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations so that each comes after those it feeds; cycles are cut somewhere."""
    takes = defaultdict[str, list[Operation]](list)
    everything = sorted(operations, key=lambda o: o.name)
    for operation in everything:
        takes[operation.input_stream].append(operation)
    ordered: list[Operation] = []
    seen: set[str] = set()
    for first in everything:
        stack = [(first, iter(takes[first.output_stream]))] if first.name not in seen else []
        seen.add(first.name)
        while stack:
            operation, following = stack[-1]
            nearest = next((o for o in following if o.name not in seen), None)
            if nearest is None:
                ordered.append(operation)
                stack.pop()
            else:
                seen.add(nearest.name)
                stack.append((nearest, iter(takes[nearest.output_stream])))
    return ordered


def _bound(operation: Operation, seen: Observed) -> bool:
    return seen.view.is_bound(operation.name, operation.input_stream)


def _reports(operation: str, seen: Observed) -> dict[str, list[OperatorReport]]:
    """What the living nodes say of an operation, by node."""
    said: dict[str, list[OperatorReport]] = {}
    for node in seen.nodes:
        if node.state in _ALIVE:
            mine = [
                r
                for r in node.reports
                if r.operation == operation and r.state is not OperatorState.STOPPED
            ]
            if mine:
                said[node.name] = mine
    return said


def _remember(operation: Operation, seen: Observed, is_wanted: bool) -> Memory:  # noqa: FBT001
    """Bring an operation's memory up to what is seen now, before anything is decided."""
    old = seen.memory.get(operation.name)
    said = _reports(operation.name, seen)
    if old is None:  # new, or the manager is: what runs was placed by its predecessor
        nodes = {
            name: len(mine)
            for name, mine in said.items()
            if any(r.state is not OperatorState.DRAINING for r in mine)
        }
        old = Memory(nodes=nodes)
    since = (
        None if is_wanted else (old.unwanted_since if old.unwanted_since is not None else seen.now)
    )
    return Memory(since, old.nodes, frozenset(n for n in old.draining if n in said))


def _moved(memory: Memory, nodes: Mapping[str, int]) -> Memory:
    """Put the placement into memory; where it was and isn't any more, it drains."""
    left = frozenset(name for name in memory.nodes if name not in nodes)
    return replace(memory, nodes=dict(nodes), draining=(memory.draining | left) - frozenset(nodes))


def _ending(seen: Observed, memory: Mapping[str, Memory]) -> frozenset[str]:
    """The operations to unbind and drain now: unwanted, lingered out, nothing upstream active."""
    over = {
        o.name: o
        for o in seen.operations
        if (since := memory[o.name].unwanted_since) is not None and seen.now - since >= o.linger_s
    }
    feeders = defaultdict[str, set[str]](set)
    for operation in seen.operations:
        if memory[operation.name].unwanted_since is not None and _active(operation, seen, memory):
            feeders[operation.output_stream].add(operation.name)
    upstream = {o.name: feeders[o.input_stream] for o in seen.operations}
    return frozenset(name for name in over if not _held(name, upstream))


def _held(name: str, upstream: Mapping[str, set[str]]) -> bool:
    """Whether something above, which isn't below as well (a cycle), still has to end first."""
    above = _above(name, upstream)
    return any(name not in _above(other, upstream) for other in above if other != name)


def _above(name: str, upstream: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in upstream.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _active(operation: Operation, seen: Observed, memory: Mapping[str, Memory]) -> bool:
    mine = memory[operation.name]
    return bool(mine.nodes or mine.draining or _bound(operation, seen))


def _assignments(seen: Observed, memory: Mapping[str, Memory]) -> dict[str, tuple[Assigned, ...]]:
    by_node: dict[str, list[Assigned]] = {
        node.name: [] for node in seen.nodes if node.state in _ALIVE
    }
    for operation in seen.operations:
        mine = memory[operation.name]
        for name, instances in mine.nodes.items():
            if name in by_node:
                by_node[name].append(_assigned(operation, instances, seen.objects))
        for name in mine.draining:
            if name in by_node:
                last = _assigned(operation, 1, seen.objects)
                by_node[name].append(last.model_copy(update={"draining": True}))
    return {
        name: tuple(sorted(wanted, key=lambda a: a.operation)) for name, wanted in by_node.items()
    }


def _assigned(operation: Operation, instances: int, objects: ObjectStore) -> Assigned:
    return Assigned(
        operation=operation.name,
        revision=operation.revision,
        definition=operation.definition,
        input_stream=operation.input_stream,
        output_stream=operation.output_stream,
        instances=instances,
        drain_s=operation.drain_s,
        objects=objects,
    )


def _next_look_s(seen: Observed, memory: Mapping[str, Memory]) -> float | None:
    waits = [
        since + o.linger_s - seen.now
        for o in seen.operations
        if (since := memory[o.name].unwanted_since) is not None and _active(o, seen, memory)
    ]
    ahead = [wait for wait in waits if wait > 0]
    return min(ahead) if ahead else None


def _verdict(
    operation: Operation,
    seen: Observed,
    wanted: frozenset[str],
    memory: Mapping[str, Memory],
    placement: Placement,
) -> Verdict:
    mine = memory[operation.name]
    said = _reports(operation.name, seen)
    where = tuple(sorted({*mine.nodes, *mine.draining}))
    if operation.demand is DemandMode.PAUSED:
        return Verdict(OperationState.PAUSED, "stopped by a person", where)
    if operation.name in wanted:
        return _wanted_verdict(operation, mine, said, placement, where)
    if mine.nodes:
        return Verdict(OperationState.LINGERING, "nobody consumes its output any more", where)
    if mine.draining:
        return Verdict(OperationState.DRAINING, "finishes what it has taken", where)
    return Verdict(OperationState.IDLE, "nobody consumes its output", where)


def _wanted_verdict(
    operation: Operation,
    mine: Memory,
    said: Mapping[str, Sequence[OperatorReport]],
    placement: Placement,
    where: tuple[str, ...],
) -> Verdict:
    name = operation.name
    if name in placement.unplaced:
        failed = name in placement.failed
        state = OperationState.FAILED if failed else OperationState.STARTING
        return Verdict(state, placement.unplaced[name], where)
    here = [
        r for node in mine.nodes for r in said.get(node, ()) if r.revision == operation.revision
    ]
    for said_state, state in _MEANS:
        found = [r for r in here if r.state is said_state]
        if found:
            return Verdict(state, found[0].reason, where)
    return Verdict(OperationState.STARTING, "starts on " + ", ".join(sorted(mine.nodes)), where)
