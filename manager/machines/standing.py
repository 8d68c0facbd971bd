"""How each machine stands: its record beside what its node says and has to do. Pure."""

from collections import Counter
from dataclasses import dataclass

from manager.dispatcher import NodeView
from manager.machines.model import MachineRecord, Offer, Phase, Seen
from manager.machines.needs import Needs, closing_s, offered
from manager.model import NodeState
from streams.application import is_offered

#: What a machine takes where nothing says better.
_SLOTS = 2
_IDLE_S = 600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One machine, with its node if that was heard; `assigned` counts instances placed on it.

    `offer` is what it was launched from, or the like of it today; None if there is none any more.
    """

    record: MachineRecord
    offer: Offer | None
    node: NodeView | None
    assigned: int
    silent_s: float
    left_s: float

    @property
    def is_coming(self) -> bool:
        """Whether it was launched and isn't heard yet."""
        return self.record.phase in {Phase.LAUNCHING, Phase.BOOTING} and not self.is_heard

    @property
    def is_heard(self) -> bool:
        """Whether its agent is ready."""
        return self.node is not None and self.node.state in {NodeState.READY, NodeState.LATE}

    @property
    def at_work(self) -> bool:
        """Whether it takes operations."""
        before = {Phase.LAUNCHING, Phase.BOOTING}
        phase = self.record.phase
        return phase is Phase.READY or (phase in before and self.is_heard)

    @property
    def is_leaving(self) -> bool:
        """Whether its end was decided."""
        return self.record.phase in {Phase.DRAINING, Phase.ENDING, Phase.ENDED}

    @property
    def is_closing(self) -> bool:
        """Whether its lease ends so soon that it gets nothing new."""
        return self.left_s <= closing_s(self.offer)

    @property
    def slots(self) -> int:
        """How many operations it takes, or is expected to."""
        if self.node is not None and self.is_heard:
            return self.node.slots
        return self.offer.slots if self.offer else _SLOTS

    @property
    def free(self) -> int:
        """How many more operations can be placed on it now."""
        can = self.at_work and self.node is not None and self.node.takes_more
        return max(0, self.slots - self.assigned) if can else 0

    @property
    def idle_s(self) -> float:
        """After how long without work it ends."""
        return self.offer.idle_s if self.offer else _IDLE_S

    def serves(self, application: str) -> bool:
        """Say whether an operation on `application` can run on it."""
        content = self.offer.content if self.offer else ""
        return is_offered(application, offered(self.record.application, content))


def standings(seen: Seen, needs: Needs) -> list[Standing]:
    """Return how each machine stands, those whose lease ends first in front."""
    nodes = {node.name: node for node in needs.nodes}
    assigned = Counter[str]()
    for counts in needs.placement.nodes.values():
        assigned.update(counts)
    like = {(o.application, o.cloud): o for o in reversed(seen.offers)}
    exact = {(o.cloud, o.image): o for o in seen.offers}
    return [
        Standing(
            record=record,
            offer=exact.get((record.cloud, record.image))
            or like.get((record.application, record.cloud)),
            node=(node := nodes.get(record.node)),
            assigned=assigned[record.node],
            silent_s=min(node.silent_s if node else float("inf"), seen.listening_s),
            left_s=(record.ends_at - seen.date).total_seconds(),
        )
        for record in sorted(seen.machines, key=lambda m: (m.ends_at, m.node))
    ]
