"""Nodes by what they say, and by how long they have been silent."""

from manager.fleet import Fleet
from manager.model import NodeState
from streams import control
from streams.control import LATE_S, LOST_S, Heartbeat


def test_an_outage_of_the_broker_makes_no_node_lost() -> None:
    now_s = 1000.0
    fleet = Fleet(clock=lambda: now_s)
    # Given a node that speaks, and one that fell silent before the broker was away for a minute
    fleet.listen(connected=True)
    _beat(fleet, "dead")
    now_s += LOST_S
    _beat(fleet, "living")
    now_s += 1
    fleet.listen(connected=False)
    now_s += 60
    # When the broker is back, the one is ready, and the other is lost
    assert fleet.listen(connected=True) == 0
    assert _states(fleet) == {"dead": NodeState.LOST, "living": NodeState.READY}
    # If it stays silent from now on, that counts
    now_s += LATE_S
    assert fleet.listen(connected=True) == LATE_S
    assert _states(fleet)["living"] is NodeState.LATE
    now_s += LOST_S
    assert _states(fleet)["living"] is NodeState.LOST


def _beat(fleet: Fleet, node: str) -> None:
    said = Heartbeat(node=node, incarnation="1", slots=1, offers=("any",))
    fleet.hear(f"agents.{node}.heartbeat", control.encode(said))


def _states(fleet: Fleet) -> dict[str, NodeState]:
    return {node.name: node.state for node in fleet.views()}
