"""What operations need of machines, and what machines mean for nodes. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from manager.dispatcher import NodeView, Placement
from manager.machines.model import MachineRecord, Offer, Phase, Seen
from manager.model import NodeState, Operation
from streams.application import appliance_of, is_offered

#: How long before its lease's end a machine is drained at the latest.
DRAIN_AHEAD_S = 60.0
#: What a boot takes where no offer says better.
_BOOT_S = 120.0
_LEAVING = frozenset({Phase.DRAINING, Phase.ENDING, Phase.ENDED})


@dataclass(frozen=True, slots=True)
class Needs:
    """What operations need just now.

    Args:
        wanted: operations that somebody wants, each with its number of instances.
        placement: of all that run.
        nodes: as `as_planned` shows them.
        finishing: nodes where an operation still finishes what it has, with the longest time in
            seconds that it may take.
        imaged: the applications that have an image in a configured cloud.
        demand_known: all demand was seen, so that a machine without work is one.
    """

    wanted: Sequence[tuple[Operation, int]] = ()
    placement: Placement = field(default_factory=Placement)
    nodes: Sequence[NodeView] = ()
    finishing: Mapping[str, float] = field(default_factory=dict)
    imaged: frozenset[str] = frozenset()
    demand_known: bool = True


def serves(offer: Offer, application: str) -> bool:
    """Say whether an offer is what a definition names."""
    return is_offered(application, offered(offer.application, offer.content))


def offered(application: str, content: str) -> str:
    """Return what a machine's node offers: also a definition that is pinned to its image."""
    return f"{application}@{content}" if content else application


def imaged(operations: Iterable[Operation], seen: Seen) -> frozenset[str]:
    """Return the applications that have an image in a configured cloud."""
    offers = defaultdict[str, list[Offer]](list)
    for offer in seen.offers:
        offers[offer.application].append(offer)
    return frozenset(
        application
        for application in {operation.definition.application for operation in operations}
        if any(serves(offer, application) for offer in offers[appliance_of(application)])
    )


def as_planned(nodes: Sequence[NodeView], seen: Seen) -> list[NodeView]:
    """Return the nodes with what their machines' records add: leases' ends, and who leaves."""
    machines = {machine.node: machine for machine in seen.machines}
    ahead_s = {(o.application, o.cloud): closing_s(o) for o in reversed(seen.offers)}
    return [
        _as_planned(node, machine, ahead_s, seen) if (machine := machines.get(node.name)) else node
        for node in nodes
    ]


def closing_s(offer: Offer | None) -> float:
    """Return how long before its lease's end a machine gets nothing new: its successor boots."""
    return (offer.boot_s if offer else _BOOT_S) + DRAIN_AHEAD_S


def _as_planned(
    node: NodeView,
    machine: MachineRecord,
    ahead_s: Mapping[tuple[str, str], float],
    seen: Seen,
) -> NodeView:
    left = machine.ends_at - seen.date
    ahead = ahead_s.get((machine.application, machine.cloud), closing_s(None))
    leaves = machine.phase in _LEAVING and node.state in {NodeState.READY, NodeState.LATE}
    return replace(
        node,
        state=NodeState.DRAINING if leaves else node.state,
        lasts_until=machine.ends_at,
        closing=left <= timedelta(seconds=ahead),
    )
