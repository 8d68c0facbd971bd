"""The reaper, on moto: warned once, ended in time, saved where asked; twice is once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from manager import reaper
from manager.machines.ground import Desk, Ground
from manager.store import Store
from provision import inventory
from provision.cloud import Cloud
from provision.entries import Ec2Entry
from provision.machine import Machine, State
from tests.manager.machines.keeping import SECRETS, quick, write_inventory
from tests.provision.front import Front

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """EC2 lists at once what it has, and nobody waits long for an ssh server that isn't there."""
    for name in ("grace_s", "interval_s"):
        monkeypatch.setattr(Ec2Entry, name, getattr(Ec2Entry, name))
    monkeypatch.setattr("provision.scrub._REACHED_S", 0.2)
    quick()


@pytest.fixture
def ground(moto: Any, front: tuple[Front, int], tmp_path: Path) -> Iterator[Ground]:
    """A cloud with a base image."""
    del moto
    write_inventory(tmp_path, front[1])
    opened = Ground(Desk(inventory.load(tmp_path / "inventory"), SECRETS, tmp_path), "moto")
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A manager's store."""
    opened = Store(f"sqlite:///{tmp_path}/manager.db")
    yield opened
    opened.close()


def _launched(ground: Ground, hours: float, **more: Any) -> tuple[Cloud, Machine]:
    cloud = ground.site().cloud
    return cloud, cloud.launch("debian-12-base", name="m", hours=hours, **more)


def _told(store: Store) -> list[tuple[str, object]]:
    events = [event for _, event in store.untold_events()]
    return [(e.event, e.fields.get("within_hours", e.fields.get("done"))) for e in events]


def _at(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_people_are_warned_once_a_day_and_once_an_hour_before(ground: Ground, store: Store) -> None:
    _launched(ground, hours=100)
    for hours in (1, 77, 77, 99.5, 99.5):
        reaper.reap(ground, store, _at(hours))
    assert _told(store) == [("machine.lease-ends", 24), ("machine.lease-ends", 1)]


def test_who_leased_for_a_day_is_warned_in_the_last_hour_only(ground: Ground, store: Store) -> None:
    cloud, machine = _launched(ground, hours=24)
    for hours in (0, 23.5):
        reaper.reap(ground, store, _at(hours))
    assert _told(store) == [("machine.lease-ends", 1)]
    # a renewed lease has another end, of which people are warned anew
    cloud.renew(machine, 48)
    reaper.reap(ground, store, _at(47.5))
    assert len(_told(store)) == 2


def test_what_is_past_its_lease_is_stopped_then_terminated(ground: Ground, store: Store) -> None:
    cloud, _ = _launched(ground, hours=1)
    reaper.reap(ground, store, _at(1.01))
    reaper.reap(ground, store, _at(1.01))
    assert [machine.state for machine in cloud.machines()] == [State.STOPPED]
    reaper.reap(ground, store, _at(1.2))
    reaper.reap(ground, store, _at(1.2))
    assert cloud.machines() == []
    assert _told(store) == [("machine.lease-over", "stop"), ("machine.lease-over", "remove")]


def test_a_machine_is_saved_at_its_end_if_it_was_asked_for(ground: Ground, store: Store) -> None:
    cloud, _ = _launched(ground, hours=1, save_as="mine")
    reaper.reap(ground, store, _at(1.01))
    reaper.reap(ground, store, _at(1.01))
    assert cloud.machines() == []
    assert [i.name for i in cloud.account.images() if cloud.account.ours(i)] == ["mine"]
    assert _told(store) == [("machine.lease-over", "save")]
