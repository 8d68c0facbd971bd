"""Operations to nodes. Pure: what runs stays where it runs, the rest goes where there is room.

Nodes come from a `NodeSource`: today those that were added by hand; a source that launches
appliances gets the same `Placement.unplaced` to act on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from manager.model import NodeState, Operation
from streams.application import is_offered, is_pinned
from streams.control import ANY_APPLICATION, OperatorReport

#: A backlog should be gone in this time at the measured rate (kedacore/keda#7071).
DRAIN_TARGET_S = 60.0
#: States in which a node keeps what it has / gets something new.
_KEEPS = frozenset({NodeState.READY, NodeState.LATE})


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as its heartbeats tell it."""

    name: str
    state: NodeState
    offers: tuple[str, ...] = (ANY_APPLICATION,)
    slots: int = 0
    incarnation: str = ""
    term: int = 0
    reports: tuple[OperatorReport, ...] = ()

    def offers_application(self, application: str) -> bool:
        """Say whether operations on `application` may run here; `any` is never a pinned one."""
        anything = ANY_APPLICATION in self.offers and not is_pinned(application)
        return anything or self.names(application)

    def names(self, application: str) -> bool:
        """Say whether it offers `application` by name."""
        return any(is_offered(application, offer) for offer in self.offers)


class NodeSource(Protocol):
    """Where nodes come from when none offers what is wanted."""

    def provide(self, unplaced: Mapping[str, str]) -> None:
        """Make nodes for the applications of these operations (name -> application)."""


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
) -> Placement:
    """Place `wanted` operations, each with its number of instances, on `nodes`."""
    by_name = {node.name: node for node in nodes}
    placed: dict[str, dict[str, int]] = {}
    free = {n.name: n.slots for n in by_name.values()}
    for operation, instances in wanted:
        kept = _kept(operation, instances, by_name, current.get(operation.name, {}), free)
        for name, count in kept.items():
            free[name] -= count
        placed[operation.name] = kept
    unplaced, failed = dict[str, str](), set[str]()
    for operation, instances in wanted:
        counts = placed[operation.name]
        candidates = [n for n in by_name.values() if _takes(n, operation)]
        while sum(counts.values()) < instances and (best := _roomiest(candidates, free, operation)):
            counts[best] = counts.get(best, 0) + 1
            free[best] -= 1
        if not counts:
            unplaced[operation.name] = _why(operation, by_name.values(), candidates)
            if by_name and not candidates and _any_ready(by_name.values()):
                failed.add(operation.name)
    return Placement({k: v for k, v in placed.items() if v}, unplaced, frozenset(failed))


def instances_for(
    operation: Operation, backlog_messages: int | None, rate_per_instance: float | None
) -> int:
    """Return how many instances drain the backlog in a minute, within the operation's bounds.

    `rate_per_instance` is in messages a second; unknown, or nothing waiting: the minimum.
    """
    low, high = operation.instances.min, operation.instances.max
    if not backlog_messages or not rate_per_instance:
        return low
    needed = math.ceil(backlog_messages / (rate_per_instance * DRAIN_TARGET_S))
    return max(low, min(high, needed))


def _kept(
    operation: Operation,
    instances: int,
    nodes: Mapping[str, NodeView],
    current: Mapping[str, int],
    free: Mapping[str, int],
) -> dict[str, int]:
    kept: dict[str, int] = {}
    for name, count in current.items():
        node = nodes.get(name)
        if node is None or node.state not in _KEEPS:
            continue
        if not node.offers_application(operation.definition.application):
            continue
        take = min(count, free[name], instances - sum(kept.values()))
        if take > 0:
            kept[name] = take
    return kept


def _takes(node: NodeView, operation: Operation) -> bool:
    offers = node.offers_application(operation.definition.application)
    return node.state is NodeState.READY and offers


def _roomiest(
    candidates: Sequence[NodeView], free: Mapping[str, int], operation: Operation
) -> str | None:
    """A node that offers the application by name comes before one that takes any."""
    roomy = [node for node in candidates if free[node.name] > 0]
    if not roomy:
        return None
    application = operation.definition.application
    return max(roomy, key=lambda n: (n.names(application), free[n.name], n.name)).name


def _any_ready(nodes: Iterable[NodeView]) -> bool:
    return any(node.state is NodeState.READY for node in nodes)


def _why(operation: Operation, nodes: Iterable[NodeView], candidates: Sequence[NodeView]) -> str:
    if candidates:
        return "waits for a free slot on " + ", ".join(sorted(n.name for n in candidates))
    if not _any_ready(nodes):
        return "waits for a node: none is ready"
    return f"no node offers the application {operation.definition.application!r}"
