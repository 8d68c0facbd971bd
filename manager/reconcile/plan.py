"""What to bind, unbind, assign and launch, and what to call each operation's state. Pure.

Demand binds a chain downstream first, at once, before any node is there; its end is waited out
(linger), and then the chain is taken down from upstream: unbound, drained, ended, one operation
after the other, so that what was under way still finds its next operation.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from manager.demand import BrokerView, wanted_operations
from manager.dispatcher import NodeView, Placement, place
from manager.machines import plan as machines
from manager.machines.model import Decisions, Seen
from manager.machines.needs import Needs, as_planned, imaged
from manager.model import DemandMode, Operation
from manager.reconcile.instances import scaled
from manager.reconcile.memory import ALIVE, Memory, Reports, moved, must_wait, remembered, reports
from manager.reconcile.order import downstream_first, held
from manager.reconcile.verdicts import Verdict, verdict
from streams.access import ObjectStore
from streams.control import Assigned


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a plan is made from.

    `settled`: each known node was heard or given up, so that what looks unassigned is.
    `demand_known`: all demand was seen, so that what looks unwanted is. `instances` holds the
    number wanted of an operation where it isn't its minimum. `objects` goes to every operator, with
    the `buckets` of its owner: of somebody unknown none, None is an admin.
    `machines` is None where no cloud is to be used.
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
    buckets: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    machines: Seen | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order: bind, assign, unbind; and about machines at any time."""

    bind: tuple[Operation, ...] = ()
    unbind: tuple[Operation, ...] = ()
    assignments: Mapping[str, tuple[Assigned, ...]] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    placement: Placement = field(default_factory=Placement)
    machines: Decisions = field(default_factory=Decisions)
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
    nodes = as_planned(seen.nodes, seen.machines) if seen.machines else seen.nodes
    said = reports(nodes)
    # until all demand was seen nothing counts as unwanted, and what runs counts as wanted
    memory = _memory(seen, wanted, said)
    if not seen.demand_known:
        wanted |= {name for name, mine in memory.items() if mine.nodes}
    ending = _ending(seen, memory)
    running = _running(seen, wanted, memory, ending)
    has_image = imaged(seen.operations, seen.machines) if seen.machines else frozenset[str]()
    placement = place(running, nodes, {name: m.nodes for name, m in memory.items()}, has_image)
    memory = {name: moved(m, placement.nodes.get(name, {})) for name, m in memory.items()}
    made = Decisions()
    if seen.machines:
        ours = [(o, count) for o, count in running if o.name in wanted]
        finishing = _finishing(seen, memory)
        needs = Needs(ours, placement, nodes, finishing, has_image, demand_known=seen.demand_known)
        made = machines.plan(seen.machines, needs)
        placement = _explained(placement, made)
    return Plan(
        bind=bind,
        unbind=tuple(o for o in reversed(order) if o.name in ending and _bound(o, seen)),
        assignments=_assignments(seen, nodes, memory, said),
        verdicts={
            o.name: verdict(
                o, memory[o.name], said.get(o.name, {}), placement, is_wanted=o.name in wanted
            )
            for o in seen.operations
        },
        memory=memory,
        wanted=wanted,
        placement=placement,
        machines=made,
        next_look_s=_next_look_s(seen, memory),
    )


def _memory(seen: Observed, wanted: frozenset[str], said: Reports) -> dict[str, Memory]:
    """Bring every operation's memory up to now, the number of its instances included."""
    memory = dict[str, Memory]()
    for operation in seen.operations:
        is_wanted = not seen.demand_known or operation.name in wanted
        mine = remembered(
            seen.memory.get(operation.name),
            said.get(operation.name, {}),
            is_wanted=is_wanted,
            now=seen.now,
        )
        needed = max(1, seen.instances.get(operation.name, operation.instances.min))
        most = max(1, operation.instances.max)
        runs = is_wanted or mine.nodes
        after = scaled(mine.scale, needed, most=most, now=seen.now) if runs else None
        memory[operation.name] = mine if after == mine.scale else replace(mine, scale=after)
    return memory


def _running(
    seen: Observed,
    wanted: frozenset[str],
    memory: Mapping[str, Memory],
    ending: frozenset[str],
) -> list[tuple[Operation, int]]:
    """The operations that are to run, each with its number of instances."""
    return [
        (operation, scale.instances)
        for operation in seen.operations
        if operation.demand is not DemandMode.PAUSED
        and (scale := (mine := memory[operation.name]).scale)
        and (operation.name in wanted or (mine.nodes and operation.name not in ending))
    ]


def _finishing(seen: Observed, memory: Mapping[str, Memory]) -> dict[str, float]:
    """How long what still ends on a node may take."""
    finishing: dict[str, float] = {}
    for operation in seen.operations:
        for node in memory[operation.name].draining:
            finishing[node] = max(finishing.get(node, 0.0), operation.drain_s)
    return finishing


def _explained(placement: Placement, made: Decisions) -> Placement:
    """Put the reasons that machines give in place of those that nodes give."""
    said = {name: w for name, w in made.waiting.items() if name in placement.unplaced}
    return replace(
        placement,
        unplaced={**placement.unplaced, **{name: w.reason for name, w in said.items()}},
        failed=(placement.failed - set(said)) | {name for name, w in said.items() if w.failed},
    )


def _bound(operation: Operation, seen: Observed) -> bool:
    return seen.view.is_bound(operation.name, operation.input_stream)


def _ending(seen: Observed, memory: Mapping[str, Memory]) -> frozenset[str]:
    """The operations to unbind and drain now: unwanted, lingered out, nothing upstream active."""
    active = [
        (o, since)
        for o in seen.operations
        if (since := memory[o.name].unwanted_since) is not None and _active(o, seen, memory)
    ]
    feeders = defaultdict[str, set[str]](set)
    for operation, _ in active:
        feeders[operation.output_stream].add(operation.name)
    upstream = {o.name: feeders[o.input_stream] for o, _ in active}
    return frozenset(
        o.name
        for o, since in active
        if seen.now - since >= o.linger_s and not held(o.name, upstream)
    )


def _active(operation: Operation, seen: Observed, memory: Mapping[str, Memory]) -> bool:
    mine = memory[operation.name]
    return bool(mine.nodes or mine.draining or _bound(operation, seen))


def _assignments(
    seen: Observed, nodes: Sequence[NodeView], memory: Mapping[str, Memory], said: Reports
) -> dict[str, tuple[Assigned, ...]]:
    by_node: dict[str, list[Assigned]] = {node.name: [] for node in nodes if node.state in ALIVE}
    owners = {operation.owner for operation in seen.operations}
    granted = {owner: seen.objects.granted(seen.buckets.get(owner, ())) for owner in owners}
    for operation in seen.operations:
        mine, told = memory[operation.name], said.get(operation.name, {})
        objects = granted[operation.owner]
        for name, instances in mine.nodes.items():
            if name in by_node and not must_wait(operation, mine, name, told):
                by_node[name].append(_assigned(operation, instances, objects))
        for name in mine.draining:
            if name in by_node:
                last = _assigned(operation, 1, objects)
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
    ahead = [
        wait_s
        for o in seen.operations
        if (since := memory[o.name].unwanted_since) is not None
        and (wait_s := since + o.linger_s - seen.now) > 0
        and _active(o, seen, memory)
    ]
    return min(ahead) if ahead else None
