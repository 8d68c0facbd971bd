"""The keeper, on moto: what was decided is done, whoever dies; what nobody wants is ended."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from manager.machines.model import Decisions, Launch, Phase
from provision.entries import Ec2Entry
from provision.machine import APPLIANCE, HASH, LAUNCHER, NODE, OWNER, ROLE, Role
from streams.management import Management
from streams.settings import Settings
from tests.embedded import ROOT
from tests.eventually import eventually
from tests.manager.machines.keeping import SECRETS, STEPS, Kept, quick, write_inventory
from tests.provision.front import Fault, Front

EVERY = [(step, moment) for step in range(len(STEPS)) for moment in ("before", "after")]
SAMPLE = random.Random(3).sample(EVERY, 2)  # noqa: S311 a sample, not a secret
WHY = "a test wants it"
Running = Callable[[], dict[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cloud lists at once what it has; afterwards EC2 is EC2 again."""
    monkeypatch.setattr(Ec2Entry, "grace_s", Ec2Entry.grace_s)
    monkeypatch.setattr(Ec2Entry, "interval_s", Ec2Entry.interval_s)
    quick()


@pytest.fixture
def folder(moto: Any, front: tuple[Front, int], tmp_path: Path) -> Path:
    """Where a manager works, with a cloud that has an image for the application `resize`."""
    write_inventory(tmp_path, front[1])
    image = moto.register_image(Name="resize-1", Architecture="x86_64")["ImageId"]
    tags = {OWNER: "tests", APPLIANCE: "resize", ROLE: Role.IMAGE, HASH: "abc123"}
    moto.create_tags(Resources=[image], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    return tmp_path


@pytest.fixture
def kept(settings: Settings, folder: Path) -> Iterator[Kept]:
    """A leading manager's keeper."""
    opened = Kept(settings, folder)
    yield opened
    opened.stop()


@pytest.fixture
def running(moto: Any) -> Running:
    """Return what really runs, by id with its tags, asked past our own code."""

    def look() -> dict[str, dict[str, str]]:
        return {
            machine["InstanceId"]: {tag["Key"]: tag["Value"] for tag in machine.get("Tags", [])}
            for reservation in moto.describe_instances()["Reservations"]
            for machine in reservation["Instances"]
            if machine["State"]["Name"] not in {"terminated", "shutting-down"}
        }

    return look


def test_a_machine_is_launched_known_and_ended(kept: Kept, running: Running) -> None:
    offer = kept.offer()
    assert (offer.application, offer.cloud, offer.content) == ("resize", "moto", "abc123")
    assert (offer.size, offer.price_per_hour, offer.hours) == ("small", 0.5, 24)
    record = kept.launched()
    assert record.phase is Phase.BOOTING
    ((handle, tags),) = running().items()
    assert handle == record.handle
    assert (tags[NODE], tags[LAUNCHER]) == (record.node, kept.store.manager_id())
    assert f"node-{record.node}" in kept.broker.management.user_names()
    assert [node.name for node in kept.store.list_nodes()] == [record.node]
    kept.end_all()
    assert not running()
    assert f"node-{record.node}" not in kept.broker.management.user_names()
    assert kept.store.list_nodes() == []
    assert kept.gone == [record.node]


def test_an_image_that_was_made_just_now_is_known_to_new_demand(kept: Kept, moto: Any) -> None:
    kept.offer()
    image = moto.register_image(Name="ocr-1", Architecture="x86_64")["ImageId"]
    tags = {OWNER: "tests", APPLIANCE: "ocr", ROLE: Role.IMAGE}
    moto.create_tags(Resources=[image], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    eventually(lambda: kept.keeper.browse(within_s=30), what="it was looked at anew")
    offers = kept.keeper.see(listening_s=0).offers
    assert [offer.application for offer in offers] == ["ocr", "resize"]


def test_an_older_image_is_launched_for_what_is_pinned_to_it(
    kept: Kept, moto: Any, running: Running
) -> None:
    old = kept.offer()
    image = moto.register_image(Name="resize-2", Architecture="x86_64")["ImageId"]
    tags = {OWNER: "tests", APPLIANCE: "resize", ROLE: Role.IMAGE, HASH: "def456"}
    moto.create_tags(Resources=[image], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    eventually(lambda: kept.keeper.browse(within_s=30), what="it was looked at anew")
    seen = kept.look()
    # both were made within one second, which is as exactly as the cloud tells
    offers = {offer.content: offer for offer in seen.offers}
    assert set(offers) == {"def456", "abc123"}
    kept.look(Decisions(launches=(Launch(offers["abc123"], WHY),)))
    kept.until(lambda seen: seen.machines and seen.machines[0].handle, "a machine is launched")
    (there,) = moto.describe_instances()["Reservations"][0]["Instances"]
    assert there["ImageId"] == old.image


def test_a_full_cloud_is_paused_with_its_words(
    kept: Kept, front: tuple[Front, int], running: Running
) -> None:
    offer = kept.offer()
    front[0].faults["RunInstances"] = [Fault.FULL]
    kept.look(Decisions(launches=(Launch(offer, WHY),)))
    (room,) = kept.until(lambda seen: seen.rooms[0].pause, "the cloud is paused").rooms
    assert "InsufficientInstanceCapacity" in room.pause
    assert room.paused_until
    assert room.paused_until > datetime.now(UTC)
    (cloud,) = kept.keeper.clouds()
    assert cloud.sight
    assert (cloud.state, cloud.sight.pause, cloud.sight.failures) == ("paused", room.pause, ())
    kept.until(lambda seen: not seen.machines, "its record ends")
    assert not running()
    assert kept.store.list_nodes() == []


def test_a_cloud_that_refuses_us_is_shown_with_its_words_and_when_it_is_tried_again(
    kept: Kept, front: tuple[Front, int]
) -> None:
    front[0].faults["DescribeInstances"] = [Fault.REFUSED] * 50

    def failing(_: object) -> object:
        (cloud,) = kept.keeper.clouds()
        return cloud.state == "failing"

    kept.until(failing, "it is shown as failing")
    (cloud,) = kept.keeper.clouds()
    assert cloud.sight
    (failure,) = cloud.sight.failures
    assert "AuthFailure" in failure.words
    assert failure.until > datetime.now(UTC) - timedelta(seconds=60)


def test_a_launch_without_an_answer_is_found(
    kept: Kept, front: tuple[Front, int], running: Running
) -> None:
    front[0].faults["RunInstances"] = [Fault.LOST]
    record = kept.launched()
    assert list(running()) == [record.handle]


def test_a_machine_that_stopped_or_vanished_is_called_broken(kept: Kept, moto: Any) -> None:
    record = kept.launched()
    moto.stop_instances(InstanceIds=[record.handle])
    seen = kept.until(lambda seen: seen.machines[0].broken, "it is seen as stopped")
    assert seen.machines[0].broken == "its cloud shows it as stopped"
    moto.terminate_instances(InstanceIds=[record.handle])
    gone = "its cloud shows it no more"
    kept.until(lambda seen: seen.machines[0].broken == gone, "it is seen as gone")
    kept.end_all()


def test_what_carries_our_mark_and_has_no_record_is_ended(
    kept: Kept, moto: Any, running: Running
) -> None:
    record = kept.launched()
    (mine,) = running().values()
    by_hand = {key: mine[key] for key in (OWNER, ROLE, APPLIANCE)}
    foreign = {**by_hand, LAUNCHER: "somebody else", NODE: "theirs"}
    double, stray = dict(mine), {**mine, NODE: "resize-lost"}
    made = [_launched(moto, tags) for tags in (foreign, by_hand, double, stray)]
    kept.until(lambda _: len(running()) == 3, "doubles and strays are ended")
    assert set(running()) == {record.handle, made[0], made[1]}
    kept.until(lambda seen: seen.rooms[0].others == 2, "machines by hand are counted")


def test_a_machine_whose_record_ended_meanwhile_is_ended_by_who_launched_it(
    kept: Kept, running: Running
) -> None:
    # Given a leader that was deposed between its decision and the cloud's answer
    kept.look(Decisions(launches=(Launch(kept.offer(), WHY),)))
    # When its successor closes the record
    kept.store.note_ended(kept.store.machines()[0].node, datetime.now(UTC))
    # Then nothing is left of it
    kept.until(lambda seen: kept.is_quiet() and not running() and not seen.machines, "no machine")


def test_a_renewed_lease_is_the_clouds_and_the_records(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.renewing._LOGIN_S", 0.2)  # there is no real machine
    record = kept.launched()
    trouble = kept.keeper.renew(record.node, 100)
    assert "its own timer doesn't know of it" in trouble
    (machine,) = kept.look().machines
    assert 99 < (machine.ends_at - datetime.now(UTC)).total_seconds() / 3600 < 101


@pytest.mark.parametrize(("step", "moment"), SAMPLE)
def test_whoever_comes_next_settles_what_a_killed_one_began(
    settings: Settings, folder: Path, running: Running, step: int, moment: str
) -> None:
    _survive(settings, folder, running, step, moment)


@pytest.mark.long
@pytest.mark.parametrize(("step", "moment"), [each for each in EVERY if each not in SAMPLE])
def test_whoever_comes_next_settles_it_at_every_step(
    settings: Settings, folder: Path, running: Running, step: int, moment: str
) -> None:
    _survive(settings, folder, running, step, moment)


def _survive(settings: Settings, folder: Path, running: Running, step: int, moment: str) -> None:
    # Given a manager that dies at this step of a machine's life
    environment = {
        **SECRETS,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "STREAMBOSS_AMQP_URL": ",".join(settings.need_amqp()),
        "STREAMBOSS_BROKER_API_URL": settings.need_broker_api(),
    }
    words = [sys.executable, "-m", "tests.manager.machines.keeping", str(folder), str(step), moment]
    with Management.from_settings(settings) as management:
        users = set(management.user_names())
    done = subprocess.run(words, cwd=ROOT, env=environment, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL
    # When another one leads
    kept = Kept(settings, folder)
    try:
        kept.settled()
        # Then each record has its one machine, and each machine its record
        kept.until(
            lambda seen: sorted(running()) == sorted(str(m.handle) for m in seen.machines),
            "the cloud is as recorded",
        )
        kept.end_all()
        assert not running()
        assert kept.store.list_nodes() == []
        assert set(kept.broker.management.user_names()) <= users
    finally:
        kept.stop()


def _launched(moto: Any, tags: dict[str, str]) -> str:
    image = moto.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = moto.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.small",
        TagSpecifications=[{"ResourceType": "instance", "Tags": marks}],
    )
    return str(made["Instances"][0]["InstanceId"])
