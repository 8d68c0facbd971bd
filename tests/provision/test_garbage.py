"""What is collected and why: rules as rows, and one collection on a real interface."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.cloud import Cloud
from provision.garbage import collect
from provision.journal import Journal
from provision.leases import TAIL, written
from provision.machine import (
    APPLIANCE,
    ATTEMPT,
    HASH,
    LEASE_UNTIL,
    OWNER,
    PROTECT,
    ROLE,
    SAVE_AS,
    Image,
    Machine,
    Role,
    State,
    lease_of,
)  # fmt: skip
from provision.recovery import recover
from provision.retention import Act, Holdings, plan
from tests.provision.front import Front
from tests.provision.machinery import ec2_cloud

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=30), NOW - timedelta(minutes=5)
MIN_AGE = timedelta(days=1)


def _machine(
    ends: timedelta | None = timedelta(hours=1),
    more: dict[str, str] | None = None,
    state: State = State.RUNNING,
) -> Machine:
    tags = {OWNER: "us", ROLE: Role.FLEET, ATTEMPT: "a1", **(more or {})}
    if ends is not None:
        tags[LEASE_UNTIL] = written(NOW + ends)
    lease = lease_of(tags, OLD)
    return Machine("c", "i-1", "m", state, None, 22, "ami-1", "small", tags, OLD, lease)


def _image(id_: str = "ami-1", made: datetime = OLD, more: dict[str, str] | None = None) -> Image:
    tags = {OWNER: "us", ROLE: Role.IMAGE, APPLIANCE: "app", **(more or {})}
    return Image("c", id_, f"app-{id_}", available=True, created_at=made, tags=tags)


def _act(held: Holdings) -> Act:
    return plan(held, now=NOW, min_age=MIN_AGE)[0].act


@pytest.mark.parametrize(
    ("machine", "more", "act"),
    [
        (_machine(), {}, Act.KEEP),
        (_machine(timedelta(seconds=-1)), {}, Act.STOP),
        (_machine(timedelta(seconds=-1)), {"can_stop": False}, Act.KEEP),
        (_machine(timedelta(seconds=-1), state=State.STOPPED), {}, Act.KEEP),
        (_machine(-TAIL), {}, Act.REMOVE),
        (_machine(timedelta(seconds=-1), {SAVE_AS: "kept"}), {}, Act.SAVE),
        (_machine(-TAIL * 9, {SAVE_AS: "kept"}), {}, Act.SAVE),
        (_machine(-TAIL * 9, {PROTECT: "yes"}), {}, Act.KEEP),
        (_machine(state=State.FAILED), {}, Act.REMOVE),
        (_machine(more={ROLE: Role.BUILD}), {}, Act.KEEP),
        (_machine(more={ROLE: Role.BUILD}), {"over": frozenset({"a1"})}, Act.REMOVE),
        (
            _machine(more={ROLE: Role.BUILD}),
            {"over": frozenset({"a1"}), "kept": frozenset({"a1"})},
            Act.KEEP,
        ),
        (_machine(), {"over": frozenset({"a1"})}, Act.KEEP),
        (_machine(None), {}, Act.REMOVE),
        (_machine(None), {"live": frozenset({"a1"})}, Act.KEEP),
    ],
)
def test_machines_are_collected_by_lease_and_purpose(
    machine: Machine, more: dict[str, Any], act: Act
) -> None:
    assert _act(Holdings("us", [machine], **more)) is act


@pytest.mark.parametrize(
    ("images", "more", "act"),
    [
        ([_image()], {}, Act.KEEP),
        ([_image(), _image("ami-2", NOW)], {}, Act.REMOVE),
        ([_image(), _image("ami-2", NOW)], {"uses": {"ami-1": "pinned"}}, Act.KEEP),
        ([_image(), _image("ami-2", NOW)], {"uses": {"app": "definition 3"}}, Act.REMOVE),
        ([_image(), _image("ami-2", NOW)], {"uses": {"app@04a0": "definition 3"}}, Act.REMOVE),
        (
            [_image(more={HASH: "04a05a5d4345"}), _image("ami-2", NOW)],
            {"uses": {"app@04a0": "definition 3"}},
            Act.KEEP,
        ),
        # definitions may name it, and their manager can't be asked
        ([_image(), _image("ami-2", NOW)], {"unasked": "no answer"}, Act.KEEP),
        ([_image(more={ROLE: Role.CANDIDATE})], {"unasked": "no answer"}, Act.REMOVE),
        ([_image(), _image("ami-2", NOW)], {"machines": [_machine()]}, Act.KEEP),
        ([_image(more={PROTECT: "yes"}), _image("ami-2", NOW)], {}, Act.KEEP),
        ([_image(made=YOUNG), _image("ami-2", NOW)], {}, Act.KEEP),
        ([_image(more={ROLE: Role.CANDIDATE})], {}, Act.REMOVE),
        ([_image(made=YOUNG, more={ROLE: Role.CANDIDATE})], {}, Act.KEEP),
        ([_image(more={ROLE: Role.CANDIDATE, ATTEMPT: "a"})], {"live": frozenset({"a"})}, Act.KEEP),
        ([_image(), _image("ami-2", NOW, {ROLE: Role.CANDIDATE})], {}, Act.KEEP),
        ([_image(), _image("ami-2", NOW, {APPLIANCE: "other"})], {}, Act.KEEP),
        ([_image(), _image("ami-2", NOW, {OWNER: "them"})], {}, Act.KEEP),
    ],
)
def test_images_are_collected_when_replaced_and_unused(
    images: list[Image], more: dict[str, Any], act: Act
) -> None:
    held = Holdings("us", images=images, **more)
    items = [
        i for i in plan(held, now=NOW, min_age=MIN_AGE) if i.id == "ami-1" and i.what == "image"
    ]
    assert [item.act for item in items] == [act]


@pytest.mark.parametrize(
    ("more", "act"),
    [
        ({}, Act.REMOVE),
        ({"machines": [_machine()]}, Act.KEEP),
        ({"machines": [_machine(state=State.TERMINATED)]}, Act.REMOVE),
        ({"live": frozenset({"a9"})}, Act.KEEP),
    ],
)
def test_keys_and_groups_go_with_the_last_machine(more: dict[str, Any], act: Act) -> None:
    items = plan(Holdings("us", keys=["k"], groups=["g"], **more), now=NOW, min_age=MIN_AGE)
    assert {i.act for i in items if i.what != "machine"} == {act}


_TAGS = st.fixed_dictionaries(
    {OWNER: st.sampled_from(["us", "us-2", "them", ""]), ROLE: st.sampled_from(list(Role))},
    optional={
        PROTECT: st.just("yes"),
        SAVE_AS: st.just("x"),
        LEASE_UNTIL: st.sampled_from([written(OLD), written(NOW + MIN_AGE), "nonsense"]),
    },
)


@given(st.lists(_TAGS), st.lists(_TAGS), st.booleans())
def test_what_isnt_ours_or_is_protected_is_never_touched(
    machines: list[dict[str, str]], images: list[dict[str, str]], over: bool
) -> None:
    held = Holdings(
        "us",
        [
            Machine("c", f"i-{n}", "m", State.RUNNING, None, 22, "", "", t, OLD, lease_of(t, OLD))
            for n, t in enumerate(machines)
        ],
        [
            Image("c", f"ami-{n}", "i", available=True, created_at=OLD, tags=t)
            for n, t in enumerate(images)
        ],
        over=frozenset({""}) if over else frozenset(),
    )
    for item in plan(held, now=NOW, min_age=MIN_AGE):
        assert item.thing is not None
        assert item.thing.tags[OWNER] == "us"
        if PROTECT in item.thing.tags:
            assert item.act is Act.KEEP


def test_a_lease_that_ended_saves_the_machine_and_ends_it(
    cloud: Cloud, front: tuple[Front, int]
) -> None:
    machine = cloud.launch("debian", name="work", hours=1, save_as="my-work")
    cloud.tag(machine, {LEASE_UNTIL: written(datetime.now(UTC) - timedelta(minutes=1))})
    said = list[str]()
    collect(cloud, {}, min_age=MIN_AGE, dry_run=True, say=said.append)
    assert any(line.startswith("save   machine work") for line in said)
    assert cloud.machines()
    collect(cloud, {}, min_age=MIN_AGE, dry_run=False)
    assert not cloud.machines()
    (saved,) = [i for i in cloud.account.images() if cloud.account.ours(i)]
    assert (saved.name, saved.tags[APPLIANCE]) == ("my-work", "my-work")


def test_a_taken_name_doesnt_cost_the_work(cloud: Cloud) -> None:
    first = cloud.launch("debian", name="first", hours=1)
    cloud.save(first, "my-work")
    cloud.terminate(first)
    second = cloud.launch("debian", name="second", hours=1, save_as="my-work")
    cloud.tag(second, {LEASE_UNTIL: written(datetime.now(UTC) - timedelta(days=1))})
    collect(cloud, {}, min_age=MIN_AGE, dry_run=False)
    assert not cloud.machines()
    names = {i.name for i in cloud.account.images() if cloud.account.ours(i)}
    assert names == {"my-work", f"my-work-{second.id}"}


def test_another_commands_builder_is_left_alone_until_that_command_is_over(
    front: tuple[Front, int], journal: Journal
) -> None:
    theirs = Journal(journal.folder, "builder")
    builder = ec2_cloud(front[1], theirs).launch("debian", name="b", hours=1, role=Role.BUILD)
    ours = ec2_cloud(front[1], journal)
    recover(ours)
    collect(ours, {}, min_age=MIN_AGE, dry_run=False)
    assert [m.id for m in ours.machines()] == [builder.id]
    theirs.close()
    recover(ours)
    assert ours.machines() == []
