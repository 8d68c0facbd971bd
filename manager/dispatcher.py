"""Operations to nodes. Pure: what runs stays where it runs, the rest goes where there is room.

What finds no room is `manager.machines`' business: it launches what is missing.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from manager.model import NodeState, Operation
from streams.application import is_offered, is_pinned
from streams.control import ANY_APPLICATION, OperatorReport

#: States in which a node keeps what it has.
_KEEPS = frozenset({NodeState.READY, NodeState.LATE})
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as its heartbeats tell it; `lasts_until` and `closing` come from its machine.

    A `closing` node keeps what it has and gets nothing new. `silent_s` is how long ago it was
    heard. `lasts_until` None is for ever.
    """

    name: str
    state: NodeState
    offers: tuple[str, ...] = (ANY_APPLICATION,)
    slots: int = 0
    incarnation: str = ""
    term: int = 0
    reports: tuple[OperatorReport, ...] = ()
    silent_s: float = 0.0
    lasts_until: datetime | None = None
    closing: bool = False
    tries: bool = False

    def offers_application(self, application: str) -> bool:
        """Say whether operations on `application` may run here; `any` is never a pinned one."""
        anything = ANY_APPLICATION in self.offers and not is_pinned(application)
        return anything or self.names(application)

    def names(self, application: str) -> bool:
        """Say whether it offers `application` by name."""
        return any(is_offered(application, offer) for offer in self.offers)

    @property
    def takes_more(self) -> bool:
        """Whether it gets something new while it has slots."""
        return self.state is NodeState.READY and not self.closing


@dataclass(frozen=True, slots=True)
class Placement:
    """Which node runs how many instances of an operation; why an operation has no node."""

    nodes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unplaced: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


def place(
    wanted: Sequence[tuple[Operation, int]],
    nodes: Iterable[NodeView],
    current: Mapping[str, Mapping[str, int]],
    imaged: AbstractSet[str] = frozenset(),
) -> Placement:
    """Place `wanted` operations, each with its number of instances, on `nodes`.

    Applications that are `imaged` go only to nodes that offer them by name; what runs on another
    already stays there until such a node has room.
    """
    room = _Room(nodes, imaged)
    placed = {o.name: room.keep(o, count, current.get(o.name, {})) for o, count in wanted}
    strays = {
        o.name: room.keep(o, count, current.get(o.name, {}), strays=True)
        for o, count in wanted
        if o.definition.application in imaged and not placed[o.name]
    }
    # the imaged ones first: what moves off a node that takes any makes room there
    for operation, count in sorted(wanted, key=lambda w: w[0].definition.application not in imaged):
        counts = placed[operation.name]
        room.fill(operation, count, counts)
        if stray := strays.get(operation.name):
            if counts:
                room.give_back(stray)
            else:
                counts.update(stray)
    empty = [o for o, _ in wanted if not placed[o.name]]
    return Placement(
        {name: counts for name, counts in placed.items() if counts},
        {o.name: room.why_none(o) for o in empty},
        frozenset(o.name for o in empty if room.is_hopeless(o)),
    )


class _Room:
    """The free slots of every node, taken one after the other."""

    def __init__(self, nodes: Iterable[NodeView], imaged: AbstractSet[str]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._imaged = imaged
        self._free = {node.name: node.slots for node in self._nodes.values()}
        self._by_appliance: dict[str, list[NodeView]] = defaultdict(list)
        for node in self._nodes.values():
            for appliance in {offered.partition("@")[0] for offered in node.offers}:
                if node.takes_more:
                    self._by_appliance[appliance].append(node)
        self._heaps: dict[str, list[tuple[object, ...]]] = {}

    def keep(
        self, operation: Operation, count: int, current: Mapping[str, int], *, strays: bool = False
    ) -> dict[str, int]:
        """Let what runs stay, on the longest leases first; `strays`: where it shouldn't run."""
        kept: dict[str, int] = {}
        known = [self._nodes[name] for name in current if name in self._nodes]
        for node in sorted(known, key=lambda n: (n.closing, _ends(n), n.name)):
            if node.state not in _KEEPS or self._may_run(operation, node) is strays:
                continue
            if strays and not node.offers_application(operation.definition.application):
                continue
            take = min(current[node.name], self._free[node.name], count - sum(kept.values()))
            if take > 0:
                kept[node.name] = take
                self._free[node.name] -= take
        return kept

    def fill(self, operation: Operation, count: int, counts: dict[str, int]) -> None:
        """Add to `counts` what is missing: on other nodes first, then more of it on the same."""
        while sum(counts.values()) < count:
            best = self._best(operation, counts)
            if best is None:
                return
            counts[best] = counts.get(best, 0) + 1
            self._free[best] -= 1

    def give_back(self, counts: Mapping[str, int]) -> None:
        """Free slots that were kept."""
        for name, count in counts.items():
            self._free[name] += count
        self._heaps.clear()

    def why_none(self, operation: Operation) -> str:
        """Say why an operation has no node."""
        if candidates := self._candidates(operation):
            return "waits for a free slot on " + ", ".join(sorted(n.name for n in candidates))
        if not self._any_ready():
            return "waits for a node: none is ready"
        return f"no node offers the application {operation.definition.application!r}"

    def is_hopeless(self, operation: Operation) -> bool:
        """Say whether none of the nodes, of which some are ready, offers the application."""
        return self._any_ready() and not self._candidates(operation)

    def _any_ready(self) -> bool:
        return any(node.state is NodeState.READY for node in self._nodes.values())

    def _may_run(self, operation: Operation, node: NodeView) -> bool:
        application = operation.definition.application
        if application in self._imaged:
            return node.names(application)
        return node.offers_application(application)

    def _candidates(self, operation: Operation) -> list[NodeView]:
        """The nodes that the operation may be given to, full ones included."""
        application = operation.definition.application
        kin = self._by_appliance.get(application.partition("@")[0], [])
        named = [node for node in kin if node.names(application)]
        if application in self._imaged or is_pinned(application):
            return named
        others = self._by_appliance.get(ANY_APPLICATION, [])
        return named + [node for node in others if not node.names(application)]

    def _best(self, operation: Operation, counts: Mapping[str, int]) -> str | None:
        """The node with the fewest of it.

        Among those one that names the application comes first, then the one that lasts longest,
        then the one with the most free slots.
        """
        application = operation.definition.application
        heap = self._heaps.get(application)
        if heap is None:
            heap = [self._entry(node, application) for node in self._candidates(operation)]
            heapq.heapify(heap)
            self._heaps[application] = heap
        used = list[tuple[object, ...]]()
        while heap:
            entry = heapq.heappop(heap)
            node = self._nodes[str(entry[-1])]
            now = self._entry(node, application)
            if self._free[node.name] <= 0:
                continue
            if now != entry:
                heapq.heappush(heap, now)
            else:
                used.append(entry)
                if node.name not in counts:
                    break
        for entry in used:
            heapq.heappush(heap, entry)
        if not used:
            return None
        return str(min(used, key=lambda e: (counts.get(str(e[-1]), 0), e))[-1])

    def _entry(self, node: NodeView, application: str) -> tuple[object, ...]:
        return (not node.names(application), _ends(node), -self._free[node.name], node.name)


def _ends(node: NodeView) -> float:
    """For sorting: what lasts longest comes first."""
    return -(node.lasts_until or _FOR_EVER).timestamp()
