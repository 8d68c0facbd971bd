"""Machines come with demand and go with it: scenes on a clock and a cloud of their own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from manager.dispatcher import place
from manager.machines.model import Breaker, CloudRoom, Launch, Phase
from manager.model import Instances, NodeState, OperationState
from tests.manager.machines.world import World, offer
from tests.manager.planning import node, operation


def world(count: int = 1, **fields: object) -> World:
    """A world in which somebody consumes what `count` operations on `test` make."""
    operations = [operation(f"o{i}", f"in{i}", f"out{i}") for i in range(1, count + 1)]
    given: dict[str, object] = {
        "offers": [offer()],
        "consumed": {o.output_stream for o in operations},
    }
    return World(operations, **{**given, **fields})  # type: ignore[arg-type]


def test_demand_launches_a_machine_says_what_it_waits_for_and_its_end_ends_it() -> None:
    scene = world()
    made = scene.step()
    assert made.verdicts["o1"].reason == "a machine for test is being launched (local)"
    assert scene.records["m1"].why == "for o1"
    made = scene.step(times=10)
    assert made.verdicts["o1"].state is OperationState.STARTING
    assert made.verdicts["o1"].reason == "a machine for test boots since 20 s (local)"
    made = scene.step(times=10)
    assert made.verdicts["o1"].state is OperationState.RUNNING
    assert scene.phases() == {"m1": Phase.READY}
    scene.consumed.clear()
    scene.step(times=30)
    assert scene.records["m1"].idle_since
    scene.step(times=280)
    assert scene.phases() == {"m1": Phase.READY}
    scene.step(times=30)
    assert (scene.phases(), scene.launched) == ({}, 1)
    assert scene.ended[0].why.startswith("without work since ")


def test_operations_share_a_machine_while_it_boots_and_after() -> None:
    scene = world(3, offers=[offer(slots=2)])
    scene.step(times=30)
    assert scene.launched == 2
    assert sorted(map(len, scene.told.values())) == [1, 2]


def test_an_application_with_an_image_runs_only_where_it_is_offered_by_name() -> None:
    scene = world(others=[node("any")])
    made = scene.step(times=3)
    assert made.verdicts["o1"].state is OperationState.STARTING
    scene.step(times=20)
    assert scene.told == {"any": (), "m1": ("o1",)}


def test_what_runs_where_anything_may_stays_there_until_its_own_machine_is_up() -> None:
    scene = world(offers=[], others=[node("any")])
    scene.step(times=2)
    assert scene.told["any"] == ("o1",)
    scene.others = [node("any", "o1")]
    scene.offers = [offer()]
    for _ in range(14):
        scene.step()
        assert scene.told["any"] == ("o1",)
    scene.step(times=3)
    assert scene.told == {"any": (), "m1": ()}
    scene.others = [node("any")]  # it has finished what it had
    scene.step()
    assert scene.told == {"any": (), "m1": ("o1",)}


def test_a_pinned_operation_gets_a_machine_of_its_own_image() -> None:
    newer = offer(image="img-2", content="feed02", slots=1)
    older = offer(image="img-1", content="feed01", slots=1)
    scene = world(2, offers=[newer, older])
    scene.pin("test@feed01", operation=1)
    scene.step(times=20)
    assert {r.image: scene.told[r.node] for r in scene.records.values()} == {
        "img-1": ("o1",),
        "img-2": ("o2",),
    }


def test_one_more_instance_goes_to_another_machine_first() -> None:
    one = operation("one", "a", "b", instances=Instances(1, 3))
    nodes = [node("n1", slots=5), node("n2", slots=2)]
    assert place([(one, 2)], nodes, {"one": {"n1": 1}}).nodes["one"] == {"n1": 1, "n2": 1}


def test_instances_grow_at_once_and_shrink_after_a_while_to_the_newest_lease() -> None:
    scene = world(offers=[offer(slots=1)])
    scene.operations = [replace(scene.operations[0], instances=Instances(1, 3))]
    scene.step(times=20)
    scene.instances = {"o1": 3}
    scene.step(times=20)
    assert len(scene.phases()) == 3
    scene.instances = {}
    scene.step(times=29)
    assert sum(map(len, scene.told.values())) == 3
    scene.step(times=3)
    (kept,) = [name for name, has in scene.told.items() if has]
    assert kept != "m1", "its lease ends first"
    scene.step(times=310)
    assert list(scene.phases()) == [kept]


def test_a_warm_machine_stays_and_is_there_before_demand() -> None:
    scene = world(offers=[offer(warm=1)], consumed=set())
    scene.step(times=600)
    assert (scene.phases(), scene.launched) == ({"m1": Phase.READY}, 1)


def test_a_lease_that_nears_its_end_is_replaced_a_boot_ahead() -> None:
    scene = world(offers=[offer(hours=1)])
    while scene.now_s < 3600:
        made = scene.step()
        if scene.now_s > 40:
            assert made.verdicts["o1"].state in {OperationState.RUNNING, OperationState.STARTING}
            assert made.verdicts["o1"].nodes
    assert list(scene.phases()) == ["m2"]
    assert scene.ended[0].why.startswith("its lease ends at ")
    assert scene.records["m2"].why == "for what runs on m1"


@pytest.mark.parametrize("hours", [-3, -0.2, 0.2, 3])
def test_a_clock_that_is_set_ends_nothing_and_launches_nothing(hours: float) -> None:
    # Given a machine at work, one that boots, one without work, and one that drains
    scene = world(4, offers=[offer(slots=1)])
    scene.step(times=20)
    scene.consumed -= {"out1", "out2"}
    scene.step(times=30)
    scene.records["m2"] = replace(scene.records["m2"], phase=Phase.DRAINING, phase_at=scene.now)
    scene.consumed |= {"out5"}
    scene.operations.append(operation("o5", "in5", "out5"))
    scene.killed["m4"] = scene.now_s
    scene.step(times=9)
    before, launched = scene.phases(), scene.launched
    # When the manager's clock is set
    scene.clock_set = timedelta(hours=hours)
    scene.step()
    # Then nothing is taken for over that isn't
    assert (scene.phases(), scene.launched) == (before, launched)


def test_a_lease_ends_when_the_date_says_so() -> None:
    scene = world()
    scene.step(times=20)
    scene.clock_set = timedelta(hours=24)
    scene.step()
    assert scene.records["m1"].why == "its lease is over"


def test_a_lost_machine_is_replaced_and_counts_until_its_end_is_confirmed() -> None:
    scene = world()
    scene.step(times=20)
    scene.killed["m1"] = scene.now_s
    scene.step(times=9)
    assert scene.phases() == {"m1": Phase.READY, "m2": Phase.BOOTING}
    scene.step(times=21)
    assert scene.phases()["m1"] is Phase.ENDING
    assert scene.records["m1"].why == "lost: not heard for 60 s"
    scene.step()
    assert scene.phases() == {"m2": Phase.READY}


def test_an_image_that_fails_to_boot_is_tried_three_times_and_told() -> None:
    scene = world(boots=lambda _machine: False)
    made = scene.step(10.0, times=400)
    assert scene.launched == 3
    verdict = made.verdicts["o1"]
    assert verdict.state is OperationState.FAILED
    assert "failed to boot" in verdict.reason
    assert "kernel panic" in verdict.reason
    assert not scene.records
    scene.breakers.clear()  # a launch
    scene.boots = lambda _machine: True
    assert scene.step(10.0, times=6).verdicts["o1"].state is OperationState.RUNNING


def test_after_a_failed_boot_one_machine_tries_the_image_for_all() -> None:
    scene = world(2, offers=[offer(slots=1)])
    scene.breakers[("local", "img-test")] = Breaker("img-test", 1)
    made = scene.step()
    assert len(scene.records) == 1
    assert "failed to boot once; one machine tries it again" in made.verdicts["o2"].reason
    scene.step(times=40)
    assert {v.state for v in scene.step().verdicts.values()} == {OperationState.RUNNING}


def test_a_full_cloud_overflows_to_the_next_by_rank() -> None:
    rooms = [CloudRoom("far", 10), CloudRoom("near", 1)]
    near, far = offer(cloud="near", rank=1, slots=1), offer(cloud="far", rank=2, slots=1)
    scene = world(3, offers=[far, near], rooms=rooms)
    scene.step()
    assert [r.cloud for r in scene.records.values()] == ["near", "far", "far"]


def test_a_machine_without_work_makes_room_for_others() -> None:
    other = operation("other", "x", "y", application="else")
    scene = world(rooms=[CloudRoom("local", 1)], offers=[offer(), offer("else")])
    scene.operations.append(other)
    scene.step(times=20)
    scene.consumed = {"y"}
    scene.step(times=40)
    assert [r.application for r in scene.records.values()] == ["else"]


def test_a_deposed_leaders_double_goes_and_what_is_needed_stays() -> None:
    scene = world(term=2)
    scene.term = 1
    scene.launch(Launch(offer(), "a former leader's"))
    scene.term = 2
    scene.launch(Launch(offer(), "the leader's"))
    scene.step()
    assert scene.phases() == {"m1": Phase.ENDING, "m2": Phase.BOOTING}
    alone = world(term=2)
    alone.launch(Launch(offer(), "a former leader's"))
    alone.records["m1"] = replace(alone.records["m1"], term=1)
    alone.step(times=20)
    assert alone.phases() == {"m1": Phase.READY}


def test_nothing_is_ended_as_unneeded_before_all_demand_is_known() -> None:
    scene = world(consumed=set(), term=2)
    scene.launch(Launch(offer(idle_s=0), "of old"))
    scene.records["m1"] = replace(scene.records["m1"], term=1)
    scene.step(times=50, demand_known=False)
    assert scene.phases() == {"m1": Phase.READY}


def test_a_machine_that_a_person_drains_is_replaced_and_ends_when_it_has_drained() -> None:
    scene = world()
    scene.step(times=20)
    scene.records["m1"] = replace(
        scene.records["m1"], phase=Phase.DRAINING, phase_at=scene.now, why="asked by admin"
    )
    scene.step()
    assert scene.told["m1"] == ()
    scene.step(times=3)
    assert scene.phases() == {"m2": Phase.BOOTING}
    assert scene.ended[0].why == "asked by admin"


def test_a_budget_that_is_used_up_ends_machines_and_is_never_exceeded() -> None:
    room = CloudRoom("local", 100, price_per_day=3.0)
    scene = world(2, offers=[offer(slots=1, price_per_hour=1.0)], rooms=[room])
    for _ in range(60 * 30):
        made = scene.step(60.0)
        assert scene.spent("local") <= 3.0
    assert scene.spent("local") > 2.5
    waiting = [v.reason for v in made.verdicts.values() if v.state is OperationState.STARTING]
    assert all("are spent within 24 hours (limits: price_per_day)" in why for why in waiting)


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        (
            lambda w: w.rooms.clear() or w.offers.clear(),
            OperationState.FAILED,
            "no node offers the application 'test', and no cloud is configured",
        ),
        (
            lambda w: w.offers.clear(),
            OperationState.FAILED,
            "no node offers the application 'test', and no cloud has an image of it: 'fab build",
        ),
        (
            lambda w: w.offers.clear() or w.rooms.clear() or w.unusable.update(far="no secret"),
            OperationState.FAILED,
            "no node offers the application 'test', and no cloud can be used: far: no secret",
        ),
        (
            lambda w: w.pin("test@bad0"),
            OperationState.FAILED,
            "no node offers the application 'test@bad0', and no cloud has that image; of test th",
        ),
        (
            lambda w: w.offers.clear() or w.silences("local", "no route to host"),
            OperationState.STARTING,
            "local: nobody knows yet what it offers: no route to host",
        ),
        (
            lambda w: w.offers.__setitem__(0, offer(hours=0.02)),
            OperationState.FAILED,
            "local: a lease of 0.02 hours (72 s) is too short for test: with its boot of 30 s",
        ),
        (
            lambda w: w.rooms.__setitem__(0, CloudRoom("local", 3, others=3)),
            OperationState.STARTING,
            "local: 3 machines run there, and 3 may (limits: machines)",
        ),
        (
            lambda w: w.rooms.__setitem__(0, CloudRoom("local", 3, price_per_day=1)),
            OperationState.FAILED,
            "local: nobody knows what a machine of size small costs, and there is limits: price",
        ),
        (
            lambda w: (
                w.rooms.__setitem__(0, CloudRoom("local", 3, price_per_day=1))
                or w.offers.__setitem__(0, offer(price_per_hour=2))
            ),
            OperationState.FAILED,
            "local: an hour of size small costs 2, more than limits: price_per_day (1)",
        ),
        (
            lambda w: w.rooms.__setitem__(
                0,
                CloudRoom(
                    "local", 3, paused_until=w.now + timedelta(60), pause="the quota is used up"
                ),
            ),
            OperationState.STARTING,
            "local: the quota is used up; tried again at ",
        ),
        (
            lambda w: w.breakers.__setitem__(("local", "img-test"), Breaker("img-test", 3, "oops")),
            OperationState.FAILED,
            "local: the image img-test of test failed to boot 3 times; build it anew, or 'launch'",
        ),
    ],
)
def test_each_reason_is_a_sentence(
    change: Callable[[World], object], state: OperationState, reason: str
) -> None:
    scene = world(others=[node("n1", offers=("another",))], offers=[offer(content="feed")])
    change(scene)
    verdict = scene.step().verdicts["o1"]
    assert verdict.state is state
    assert verdict.reason.startswith(reason)
    assert not scene.records


def test_an_old_agent_is_a_failed_boot_with_its_reason() -> None:
    scene = world()
    scene.step(times=5)
    scene.boots = lambda _machine: False
    scene.others = [node("m1", state=NodeState.OUTDATED, offers=())]
    scene.step()
    assert scene.records["m1"].why.startswith("its agent speaks another version")
    assert scene.breakers[("local", "img-test")].failed_boots == 1
