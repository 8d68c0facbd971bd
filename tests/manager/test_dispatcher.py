"""Placement: what runs stays, the rest goes where there is room and its application."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.dispatcher import NodeView, place
from manager.model import Instances, NodeState, Operation
from manager.reconcile.instances import instances_for
from tests.manager.planning import node, operation

ONE = operation("one", "a", "b")
TWO = operation("two", "a", "b")


def test_what_runs_stays_also_where_another_node_has_more_room() -> None:
    nodes = [node("n1", slots=2), node("n2", slots=50)]
    assert place([(ONE, 1)], nodes, {"one": {"n1": 1}}).nodes == {"one": {"n1": 1}}


@pytest.mark.parametrize(
    ("state", "where"),
    [
        (NodeState.READY, "n1"),
        (NodeState.LATE, "n1"),
        (NodeState.LOST, "n2"),
        (NodeState.DRAINING, "n2"),
        (NodeState.OUTDATED, "n2"),
        (NodeState.GONE, "n2"),
    ],
)
def test_a_node_keeps_what_it_has_by_its_state(state: NodeState, where: str) -> None:
    nodes = [node("n1", state=state), node("n2")]
    assert place([(ONE, 1)], nodes, {"one": {"n1": 1}}).nodes == {"one": {where: 1}}


def test_only_a_ready_node_gets_something_new() -> None:
    for state in set(NodeState) - {NodeState.READY}:
        assert not place([(ONE, 1)], [node("n1", state=state)], {}).nodes


def test_a_node_that_names_the_application_comes_first() -> None:
    nodes = [node("any", slots=200), node("named", slots=1, offers=("test",))]
    assert place([(ONE, 1), (TWO, 1)], nodes, {}).nodes == {"one": {"named": 1}, "two": {"any": 1}}


def test_a_pinned_operation_runs_on_its_image_alone() -> None:
    pinned = operation("pinned", "a", "b", application="test@04a0")
    other = [node("any", slots=200), node("newer", offers=("test@b1b1b1b1b1b1",))]
    refused = place([(pinned, 1)], other, {})
    assert refused.failed == {"pinned"}
    assert "no node offers the application 'test@04a0'" in refused.unplaced["pinned"]
    own = node("own", slots=1, offers=("test@04a05a5d4345",))
    assert place([(pinned, 1)], [*other, own], {}).nodes == {"pinned": {"own": 1}}


def test_full_nodes_and_missing_applications_are_told_apart() -> None:
    full = place([(ONE, 1), (TWO, 1)], [node("n1", slots=1)], {})
    assert full.unplaced == {"two": "waits for a free slot on n1"}
    assert not full.failed
    foreign = place([(ONE, 1)], [node("n1", offers=("else",))], {})
    assert foreign.failed == {"one"}
    assert place([(ONE, 1)], [], {}).unplaced == {"one": "waits for a node: none is ready"}


@pytest.mark.parametrize(
    ("backlog", "rate", "instances"),
    [
        (None, 10.0, 1),
        (0, 10.0, 1),
        (600, 10.0, 1),
        (601, 10.0, 2),
        (10**6, 10.0, 4),
        (99, None, 1),
    ],
)
def test_instances_drain_the_backlog_in_a_minute(
    backlog: int | None, rate: float | None, instances: int
) -> None:
    scaled = operation("one", "a", "b", instances=Instances(1, 4))
    assert instances_for(scaled, backlog, rate) == instances


OFFERS = st.sampled_from([("any",), ("x",), ("y",), ("x", "y")])
NODES = st.lists(
    st.tuples(st.sampled_from(list(NodeState)), OFFERS, st.integers(0, 3)), max_size=4
).map(
    lambda made: [
        node(f"n{i}", state=state, offers=offers, slots=slots)
        for i, (state, offers, slots) in enumerate(made)
    ]
)
WANTED = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 3)), max_size=5).map(
    lambda made: [
        (operation(f"o{i}", "a", "b", application=application), count)
        for i, (application, count) in enumerate(made)
    ]
)
CURRENT = st.dictionaries(
    st.sampled_from([f"o{i}" for i in range(6)]),
    st.dictionaries(st.sampled_from([f"n{i}" for i in range(5)]), st.integers(1, 3), max_size=3),
    max_size=4,
)


@given(WANTED, NODES, CURRENT)
def test_any_placement_keeps_to_offers_slots_and_numbers_and_is_final(
    wanted: list[tuple[Operation, int]],
    nodes: list[NodeView],
    current: dict[str, dict[str, int]],
) -> None:
    placed = place(wanted, nodes, current)
    by_name = {n.name: n for n in nodes}
    for made, count in wanted:
        counts = placed.nodes.get(made.name, {})
        assert sum(counts.values()) <= count
        assert bool(counts) is (made.name not in placed.unplaced)
        for name in counts:
            assert by_name[name].offers_application(made.definition.application)
            assert by_name[name].state in {NodeState.READY, NodeState.LATE}
            had = current.get(made.name, {}).get(name, 0)
            assert by_name[name].state is NodeState.READY or counts[name] <= had
    for each in nodes:
        assert sum(c.get(each.name, 0) for c in placed.nodes.values()) <= each.slots
    assert place(wanted, nodes, placed.nodes) == placed
