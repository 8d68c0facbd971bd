"""Nodes by what they say, and by how long they have been silent."""

import json

import pytest

from manager.fleet import Fleet
from manager.model import NodeState
from streams import control
from streams.control import LATE_S, LOST_S, Heartbeat
from streams.errors import ControlError


class _Looks:
    """A manager's looks at its fleet, one a second."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.fleet = Fleet(clock=lambda: self.now_s)
        self.look()

    def look(self, seconds: float = 0, *, connected: bool = True) -> float:
        for _ in range(int(seconds)):
            self.now_s += 1
            self.fleet.listen(connected=connected)
        return self.fleet.listen(connected=connected)

    def beat(self, node: str) -> None:
        said = Heartbeat(node=node, incarnation="1", slots=1, offers=("any",))
        self.fleet.hear(f"agents.{node}.heartbeat", control.encode(said))

    def states(self) -> dict[str, NodeState]:
        return {node.name: node.state for node in self.fleet.views()}


def _one_dead_one_living() -> _Looks:
    looks = _Looks()
    looks.beat("dead")
    looks.look(LOST_S)
    looks.beat("living")
    return looks


def test_an_outage_of_the_broker_makes_no_node_lost() -> None:
    # Given a node that speaks, and one that fell silent before the broker was away for a minute
    looks = _one_dead_one_living()
    looks.look(1)
    looks.look(60, connected=False)
    # When the broker is back, the one is ready, and the other is lost
    assert looks.look() == 0
    assert looks.states() == {"dead": NodeState.LOST, "living": NodeState.READY}
    # If it stays silent from now on, that counts
    assert looks.look(LATE_S) == LATE_S
    assert looks.states()["living"] is NodeState.LATE
    looks.look(LOST_S)
    assert looks.states()["living"] is NodeState.LOST


_SAID = {"v": 1, "node": "n1", "incarnation": "1", "slots": 1, "offers": ["any"]}
_LOGGED = {"v": 1, "node": "n1", "operation": "op", "at": 0, "lines": ["x"]}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("heartbeat", {**_SAID, "started_at": 1e300}),
        ("heartbeat", {**_SAID, "started_at": -1e300}),
        ("heartbeat", {**_SAID, "cpu_percent": float("nan")}),
        ("heartbeat", {**_SAID, "slots": 10**400}),
        ("heartbeat", {**_SAID, "node": "n2"}),
        ("log", {**_LOGGED, "at": 1e300}),
        ("log", {**_LOGGED, "at": float("inf")}),
        ("log", {**_LOGGED, "node": "n2"}),
        ("log", {**_LOGGED, "lines": ["x" * 65_537]}),
        ("log", {**_LOGGED, "lines": [1]}),
    ],
)
def test_what_an_agent_cannot_mean_is_refused_and_shown_to_nobody(
    kind: str, said: dict[str, object]
) -> None:
    fleet = Fleet()
    with pytest.raises(ControlError):
        fleet.hear(f"from.n1.{kind}", json.dumps(said).encode())
    assert [status.started_at for status in fleet.statuses().values()] in ([], [None])
    assert fleet.logs("op") == []


def test_a_message_that_only_fills_memory_is_refused() -> None:
    for raw in (b"[" * 1_000_000, b'{"a":' * 100_000, b" " * (control.MOST_BYTES + 1)):
        with pytest.raises(ControlError):
            Fleet().hear("from.n1.log", raw)


def test_a_manager_that_stood_still_takes_nobody_for_lost() -> None:
    # Given a manager that was stopped for an hour, and a node that died before
    looks = _one_dead_one_living()
    looks.now_s += 3600
    # When it goes on, before it has read what the living one said meanwhile
    assert looks.look() == 0
    # Then only the dead one is lost
    assert looks.states() == {"dead": NodeState.LOST, "living": NodeState.READY}
    assert looks.fleet.views()[1].silent_s == 0
