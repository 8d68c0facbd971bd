"""What becomes of each attempt after a crash: every rule is a row."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.attempts import Attempt, Status, Thing
from provision.machine import ATTEMPT, OWNER, ROLE, RUN, Image, Machine, Role, State
from provision.recovery import Found, Step, plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO, JUST_NOW = NOW - timedelta(hours=1), NOW - timedelta(seconds=5)


def _attempt(**more: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": "a1", "run": "r1", "live": False, "status": Status.INTENT, "thing": Thing.MACHINE,
        "cloud": "c", "name": "m", "at": LONG_AGO, "tags": {ROLE: Role.BUILD},
    }  # fmt: skip
    return Attempt(**values | more)


def _machine(attempt: str = "a1", id_: str = "i-1", state: State = State.RUNNING) -> Machine:
    tags = {OWNER: "us", ATTEMPT: attempt}
    return Machine("c", id_, "m", state, None, 22, "ami-1", "small", tags)


def _image(*, available: bool = True, failed: bool = False) -> Image:
    tags = {OWNER: "us", ATTEMPT: "a1", RUN: "r1"}
    return Image("c", "ami-2", "saved", available=available, failed=failed, tags=tags)


NOTHING = Found([], [])
THERE = Found([_machine()], [])
IMAGE = {"thing": Thing.IMAGE, "name": "saved", "tags": {ROLE: Role.CANDIDATE}}
FLEET = {"tags": {ROLE: Role.FLEET}}
DONE = {"status": Status.DONE}


@pytest.mark.parametrize(
    ("attempt", "found", "step"),
    [
        (_attempt(at=JUST_NOW), NOTHING, Step.WAIT),
        (_attempt(), NOTHING, Step.CLOSE),
        (_attempt(**DONE), NOTHING, Step.CLOSE),
        (_attempt(at=JUST_NOW, **DONE), NOTHING, Step.WAIT),
        (_attempt(), THERE, Step.REMOVE),
        (_attempt(**DONE), THERE, Step.REMOVE),
        (_attempt(kept=True, **DONE), THERE, Step.LEAVE),
        (_attempt(**FLEET), THERE, Step.ADOPT),
        (_attempt(**FLEET, **DONE), THERE, Step.LEAVE),
        (_attempt(), Found([_machine("another")], []), Step.CLOSE),
        (_attempt(), Found([_machine(state=State.TERMINATED)], []), Step.CLOSE),
        (_attempt(**IMAGE), NOTHING, Step.CLOSE),
        (_attempt(at=JUST_NOW, **IMAGE), NOTHING, Step.WAIT),
        (_attempt(**IMAGE), Found([], [_image()]), Step.ADOPT),
        (_attempt(**IMAGE), Found([], [_image(available=False)]), Step.ADOPT),
        (_attempt(**IMAGE), Found([], [_image(available=False, failed=True)]), Step.REMOVE),
        (_attempt(**IMAGE | DONE), Found([], [_image()]), Step.LEAVE),
        (_attempt(**IMAGE | {"status": Status.REMOVING}), NOTHING, Step.FINISH),
        (_attempt(**IMAGE | {"status": Status.REMOVING}), Found([], [_image()]), Step.FINISH),
        (_attempt(thing=Thing.KEY, name="k"), Found([], [], frozenset({"k"})), Step.ADOPT),
        (_attempt(thing=Thing.KEY, name="k", **DONE), Found([], [], frozenset({"k"})), Step.LEAVE),
        (_attempt(thing=Thing.GROUP, name="k"), NOTHING, Step.CLOSE),
    ],
)
def test_each_attempt_is_settled_by_what_the_cloud_shows(
    attempt: Attempt, found: Found, step: Step
) -> None:
    (decision,) = plan([attempt], found, now=NOW, grace_s=60)
    assert decision.step is step
    assert decision.reason


def test_what_a_living_run_does_is_left_alone() -> None:
    assert plan([_attempt(live=True)], THERE, now=NOW, grace_s=60) == []


@pytest.mark.parametrize(
    ("images", "at", "step"),
    [
        ([_image(available=False)], LONG_AGO, Step.LEAVE),
        ([], JUST_NOW, Step.LEAVE),
        ([], LONG_AGO, Step.REMOVE),
        ([_image()], LONG_AGO, Step.REMOVE),
        ([_image(available=False, failed=True)], LONG_AGO, Step.REMOVE),
    ],
)
def test_a_machine_doesnt_end_while_an_image_may_be_made_of_it(
    images: list[Image], at: datetime, step: Step
) -> None:
    builder = _attempt(id="a0", **DONE)
    found = Found([_machine("a0")], images)
    decisions = plan([builder, _attempt(at=at, **IMAGE)], found, now=NOW, grace_s=60)
    assert {d.attempt.id: d.step for d in decisions}["a0"] is step


@pytest.mark.parametrize("role", [Role.FLEET, Role.MANAGER])
def test_a_launch_that_made_two_machines_keeps_one(role: Role) -> None:
    found = Found([_machine(id_="i-2"), _machine(id_="i-1")], [])
    decisions = plan([_attempt(tags={ROLE: role})], found, now=NOW, grace_s=60)
    steps = {d.thing.id: d.step for d in decisions if d.thing}
    assert steps == {"i-1": Step.ADOPT, "i-2": Step.REMOVE}


@given(
    st.lists(
        st.builds(
            _attempt,
            id=st.sampled_from(["a1", "a2", "a3"]),
            status=st.sampled_from([Status.INTENT, Status.DONE]),
            live=st.booleans(),
            kept=st.booleans(),
            at=st.sampled_from([LONG_AGO, JUST_NOW]),
            tags=st.sampled_from([{ROLE: role} for role in Role]),
        ),
        unique_by=lambda attempt: attempt.id,
    ),
    st.lists(
        st.builds(_machine, st.sampled_from(["a1", "a2", "a3", "foreign"]), st.uuids().map(str))
    ),
)
def test_only_what_an_attempt_of_ours_made_is_ever_removed(
    attempts: list[Attempt], machines: list[Machine]
) -> None:
    over = {a.id for a in attempts if not a.live}
    decisions = plan(attempts, Found(machines, []), now=NOW, grace_s=60)
    for decision in decisions:
        if decision.step is Step.REMOVE:
            assert decision.thing is not None
            assert decision.thing.tags[ATTEMPT] in over
    settled = {d.attempt.id for d in decisions}
    assert settled == over, "nothing is forgotten"
