"""Nodes as a whole: what was added, what is heard of each, and the machine below it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from manager.errors import NotFoundError
from manager.machines.model import MachineRecord, Phase
from manager.machines.money import cost
from manager.model import NodeRecord, NodeState, NodeStatus
from manager.services import Services

_COMING = frozenset({Phase.LAUNCHING, Phase.BOOTING})
_WORKS = frozenset({NodeState.READY, NodeState.LATE})


@dataclass(frozen=True, slots=True)
class Node:
    """A node; `machine` is there where the manager launched it."""

    record: NodeRecord
    status: NodeStatus
    machine: MachineRecord | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def state(self) -> str:
        """What it is, in a word: of a machine that comes or goes, how far it is."""
        if self.machine is None and self.status.last_seen is None:
            return "unheard"
        if self.machine is None or self.machine.phase is Phase.READY or self._is_heard:
            return self.status.state.value
        return self.machine.phase.value

    @property
    def price(self) -> float | None:
        """What its machine has cost so far; None where nobody knows."""
        if self.machine is None or self.machine.price_per_hour is None:
            return None
        return cost(self.machine, since=self.machine.launched_at, now=datetime.now(UTC))

    @property
    def _is_heard(self) -> bool:
        leaving = {Phase.DRAINING, Phase.ENDING}
        return self.machine is not None and (
            self.machine.phase not in leaving and self.status.state in _WORKS
        )


def all_nodes(services: Services) -> list[Node]:
    """Return the nodes by name."""
    heard = {status.name: status for status in services.runtime.nodes()}
    machines = {machine.node: machine for machine in services.store.machines()}
    return [_node(record, heard, machines) for record in services.store.list_nodes()]


def node_of(services: Services, name: str) -> Node:
    """Return a node.

    Raises:
        NotFoundError: there is none.
    """
    for node in all_nodes(services):
        if node.name == name:
            return node
    raise NotFoundError(f"there is no node {name!r}")


def _node(
    record: NodeRecord, heard: Mapping[str, NodeStatus], machines: Mapping[str, MachineRecord]
) -> Node:
    status = heard.get(record.name) or NodeStatus(record.name, NodeState.GONE, offers=())
    machine = machines.get(record.name)
    if machine and machine.phase in _COMING and status.last_seen is None:
        status = replace(status, state=NodeState.BOOTING)
    return Node(record, status, machine)
