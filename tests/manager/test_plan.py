"""The plan: scenes on a clock of their own, and what holds for any history."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from manager.demand import Binding, BrokerView
from manager.dispatcher import NodeView
from manager.model import DemandMode, Instances, NodeState, Operation, OperationState
from manager.reconcile.memory import Memory
from manager.reconcile.plan import Observed, Plan, plan
from streams.access import NO_BUCKETS, ObjectStore
from streams.control import OperatorState
from streams.definition import Order
from tests.manager.planning import node, operation

CHAIN = [operation("1", "a", "b"), operation("2", "b", "c"), operation("3", "c", "d")]


@dataclass
class Scene:
    """A world in which nodes do at once what they are told, and bindings are what plans made."""

    operations: list[Operation]
    nodes: list[NodeView] = field(default_factory=lambda: [node("n1")])
    consumed: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    memory: dict[str, Memory] = field(default_factory=dict)
    now: float = 0.0
    #: what was done, in order: "+1" bound, "-1" unbound
    done: list[str] = field(default_factory=list)

    def look(self, *, obey: bool = True, **fields: Any) -> Plan:
        outside = {Binding(f"streams.{s}", f"mine.{s}") for s in self.consumed}
        own = {
            Binding(f"streams.{o.input_stream}", f"operations.{o.name}")
            for o in self.operations
            if o.name in self.bound
        }
        view = BrokerView(frozenset(outside | own), {f"mine.{s}": 1 for s in self.consumed})
        made = plan(
            Observed(self.now, self.operations, view, self.nodes, memory=self.memory, **fields)
        )
        self.done += [f"+{o.name}" for o in made.bind] + [f"-{o.name}" for o in made.unbind]
        self.bound |= {o.name for o in made.bind}
        self.bound -= {o.name for o in made.unbind}
        self.memory = dict(made.memory)
        if obey:
            self.nodes = [_obeyed(n, made) for n in self.nodes]
        return made

    def states(self, times: int = 1) -> dict[str, OperationState]:
        for _ in range(times):
            made = self.look()
        return {name: verdict.state for name, verdict in made.verdicts.items()}

    @property
    def running(self) -> set[str]:
        return {r.operation for n in self.nodes for r in n.reports}


def _obeyed(said: NodeView, made: Plan) -> NodeView:
    if said.name not in made.assignments:
        return said
    wanted = [a.operation for a in made.assignments[said.name] if not a.draining]
    return replace(said, reports=node("", *wanted).reports)


def all_are(scene: Scene, state: OperationState) -> dict[str, OperationState]:
    return dict.fromkeys((o.name for o in scene.operations), state)


def test_an_operation_that_keeps_order_moves_when_it_has_finished_where_it_was() -> None:
    # Given an operation with one instance, on a node that is told to end
    ordered = replace(CHAIN[0], name="ordered")
    unordered = ordered.definition.model_copy(update={"order": Order.NONE})
    quick = replace(ordered, name="quick", definition=unordered)
    many = replace(ordered, name="many", instances=Instances(1, 2))
    scene = Scene([ordered, quick, many], consumed={"b"})
    scene.look()
    leaving = replace(scene.nodes[0], state=NodeState.DRAINING)
    scene.nodes = [leaving, node("n2")]
    # When it still finishes what it took
    for _ in range(2):
        made = scene.look(obey=False)
        # Then its successor waits, where order is promised
        assert {a.operation for a in made.assignments["n2"]} == {"quick", "many"}
        assert made.verdicts["ordered"].reason.endswith("when what was taken is finished on n1")
    # And the same for a new leader, who knows only what nodes say
    scene.memory = {}
    ends = [r.model_copy(update={"state": OperatorState.DRAINING}) for r in leaving.reports]
    scene.nodes[0] = replace(leaving, reports=tuple(ends))
    assert "ordered" not in {a.operation for a in scene.look(obey=False).assignments["n2"]}
    # And it begins when the other one has finished
    scene.nodes[0] = replace(leaving, reports=())
    assert "ordered" in {a.operation for a in scene.look().assignments["n2"]}
    assert scene.states()["ordered"] is OperationState.RUNNING


def test_a_chain_is_bound_downstream_first_before_any_node_is_there() -> None:
    scene = Scene(CHAIN, nodes=[], consumed={"d"})
    assert scene.states() == all_are(scene, OperationState.STARTING)
    assert scene.done == ["+3", "+2", "+1"]
    scene.nodes = [node("n1")]
    assert scene.states(2) == all_are(scene, OperationState.RUNNING)


def test_a_chain_lingers_and_is_taken_down_from_upstream_one_by_one() -> None:
    scene = Scene(CHAIN, consumed={"d"})
    scene.states(2)
    scene.consumed, scene.done = set(), []
    assert scene.states() == all_are(scene, OperationState.LINGERING)
    scene.now = 29.0
    assert scene.look().next_look_s == 1.0
    assert not scene.done
    scene.now = 30.0
    scene.look(obey=False)
    scene.look(obey=False)
    assert scene.done == ["-1"], "the second waits until the first has drained"
    assert scene.states(10) == all_are(scene, OperationState.IDLE)
    assert scene.done == ["-1", "-2", "-3"]
    assert not scene.running


def test_demand_that_comes_back_while_lingering_changes_nothing() -> None:
    scene = Scene(CHAIN, consumed={"d"})
    scene.states(2)
    scene.consumed = set()
    scene.states()
    scene.now, scene.consumed, scene.done = 29.0, {"d"}, []
    assert scene.states() == all_are(scene, OperationState.RUNNING)
    scene.now = 100.0
    assert scene.states() == all_are(scene, OperationState.RUNNING)
    assert not scene.done


def test_a_paused_operation_is_bound_while_wanted_and_runs_nowhere() -> None:
    scene = Scene([operation("up", "a", "b", demand=DemandMode.PAUSED)], consumed={"b"})
    assert scene.states(3) == {"up": OperationState.PAUSED}
    assert scene.bound == {"up"}
    assert not scene.running
    scene.operations = [replace(scene.operations[0], demand=DemandMode.CONSUMERS)]
    assert scene.states(2) == {"up": OperationState.RUNNING}


def test_an_operation_that_is_stopped_drains_and_says_so() -> None:
    scene = Scene([operation("up", "a", "b")], consumed={"b"})
    scene.states(2)
    scene.operations = [replace(scene.operations[0], demand=DemandMode.PAUSED)]
    for _ in range(2):
        made = scene.look(obey=False)
        assert [a.draining for a in made.assignments["n1"]] == [True]
        assert made.verdicts["up"].reason == "stopped by a person; finishes what it has taken"
    scene.nodes = [node("n1")]
    assert scene.look().verdicts["up"].reason == "stopped by a person"


def test_what_starts_anew_with_another_version_of_its_definition_says_so() -> None:
    scene = Scene([operation("up", "a", "b")], consumed={"b"})
    assert scene.look().verdicts["up"].reason == "starts on n1"
    scene.operations = [replace(scene.operations[0], revision=2)]
    verdict = scene.look(obey=False).verdicts["up"]
    assert verdict.state is OperationState.STARTING
    assert verdict.reason == "definition 1 changed: starts on n1"
    # what still drains, of the same revision, is no change
    draining = (
        scene.nodes[0]
        .reports[0]
        .model_copy(update={"revision": 2, "state": OperatorState.DRAINING})
    )
    scene.nodes = [replace(scene.nodes[0], reports=(draining,))]
    assert scene.look(obey=False).verdicts["up"].reason == "starts on n1"


def test_a_new_manager_takes_over_what_runs() -> None:
    scene = Scene(CHAIN, consumed={"d"}, nodes=[node("n1", slots=3), node("n2")])
    scene.states(2)
    before = {n.name: [r.operation for r in n.reports] for n in scene.nodes}
    scene.memory, scene.done = {}, []
    scene.states(2)
    assert {n.name: [r.operation for r in n.reports] for n in scene.nodes} == before
    assert not scene.done


def test_a_new_manager_unbinds_and_stops_nothing_before_it_knows_all_demand() -> None:
    hasty = [replace(o, linger_s=0.0) for o in CHAIN]
    scene = Scene(hasty, consumed={"d"})
    scene.states(2)
    scene.memory, scene.consumed, scene.done = {}, set(), []
    for now in (0.0, 5.0, 1000.0):
        scene.now = now
        made = scene.look(demand_known=False)
        assert {v.state for v in made.verdicts.values()} == {OperationState.RUNNING}
    assert not scene.look(settled=False).assignments
    assert (scene.done, scene.running) == ([], {"1", "2", "3"})


def test_what_waits_bound_for_a_node_stays_bound_until_all_demand_is_known() -> None:
    scene = Scene([operation("up", "a", "b", linger_s=0.0)], nodes=[], bound={"up"})
    scene.look(demand_known=False)
    assert scene.bound == {"up"}
    scene.look()
    assert scene.bound == set()


def test_each_operation_gets_the_buckets_that_its_owner_may_read_and_no_others() -> None:
    # Given an admin's operation, two of people with and without a grant, one of nobody known
    owners = {"boss": None, "ada": ("photos",), "bob": ()}
    scene = Scene(
        [replace(operation(o, f"{o}-in", f"{o}-out"), owner=o) for o in (*owners, "gone")],
        consumed={f"{o}-out" for o in (*owners, "gone")},
    )

    def buckets(**settings: Any) -> dict[str, tuple[str, ...]]:
        objects = ObjectStore(bucket="outputs", **settings)
        made = scene.look(buckets=owners, objects=objects)
        return {a.operation: a.objects.buckets for a in made.assignments["n1"]}

    # Then the admin reads all; the others what was granted, and no list of theirs is empty
    assert buckets() == {
        "boss": (), "ada": ("photos",), "bob": NO_BUCKETS, "gone": NO_BUCKETS
    }  # fmt: skip
    # and what the settings open is everybody's
    assert buckets(buckets=("open",)) == {
        "boss": ("open",), "ada": ("open", "photos"), "bob": ("open",), "gone": ("open",)
    }  # fmt: skip
    nothing = ObjectStore(bucket="outputs", buckets=NO_BUCKETS)
    assert nothing.objection("outputs", "k") is None
    assert nothing.objection("photos", "k")


def test_an_operation_on_a_lost_node_goes_elsewhere() -> None:
    scene = Scene([operation("up", "a", "b")], consumed={"b"})
    scene.states(2)
    scene.nodes = [replace(scene.nodes[0], state=NodeState.LATE), node("n2")]
    scene.look()
    assert [n.name for n in scene.nodes if n.reports] == ["n1"]
    scene.nodes[0] = replace(scene.nodes[0], state=NodeState.LOST)
    made = scene.look()
    assert [a.operation for a in made.assignments["n2"]] == ["up"]
    assert "n1" not in made.assignments


NAMES = ["o1", "o2", "o3", "o4"]
ENDS = st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")).filter(lambda e: e[0] != e[1])
WORLDS = st.lists(
    st.tuples(ENDS, st.sampled_from(list(DemandMode)), st.sampled_from([0.0, 5.0])),
    min_size=1,
    max_size=4,
).map(
    lambda made: [
        operation(name, *ends, demand=mode, linger_s=linger_s)
        for name, (ends, mode, linger_s) in zip(NAMES, made, strict=False)
    ]
)
HISTORY = st.lists(
    st.tuples(
        st.frozensets(st.sampled_from("abcd")),
        st.sampled_from([0.0, 1.0, 6.0]),
        st.lists(st.sampled_from([*NodeState]), min_size=2, max_size=2),
        st.booleans(),
    ),
    max_size=8,
)


@given(WORLDS, HISTORY, st.frozensets(st.sampled_from("abcd")))
def test_any_history_keeps_the_rules_and_converges(
    operations: list[Operation],
    history: list[tuple[frozenset[str], float, list[NodeState], bool]],
    at_last: frozenset[str],
) -> None:
    scene = Scene(operations, nodes=[node("n1", slots=2), node("n2", slots=2)])
    for consumed, step_s, states, known in history:
        scene.consumed, scene.now = set(consumed), scene.now + step_s
        scene.nodes = [
            replace(n, state=state) for n, state in zip(scene.nodes, states, strict=True)
        ]
        _check(scene, scene.look(demand_known=known), known=known)
    scene.consumed = set(at_last)
    scene.nodes = [replace(n, state=NodeState.READY) for n in scene.nodes]
    for _ in range(20):
        scene.now += 6.0
        made = scene.look()
    scene.done = []
    again = scene.look()
    assert (again.assignments, scene.done) == (made.assignments, [])
    assert scene.bound == again.wanted
    paused = {o.name for o in operations if o.demand is DemandMode.PAUSED}
    assert scene.running == again.wanted - paused


def _check(scene: Scene, made: Plan, *, known: bool) -> None:
    assert known or not made.unbind
    assert not {o.name for o in made.unbind} & made.wanted
    for each in scene.nodes:
        mine: Iterable[Any] = made.assignments.get(each.name, ())
        assert sum(a.instances for a in mine if not a.draining) <= each.slots
        assert len({a.operation for a in mine}) == len(list(mine))
