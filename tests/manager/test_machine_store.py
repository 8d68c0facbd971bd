"""Machines in the store, on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from manager.errors import NotFoundError
from manager.machines.model import Breaker, Decisions, Ending, MachineRecord, Phase
from manager.store import Store

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
WHY = "operation 'op' waits for a machine"


def record(node: str = "resize-1", **more: object) -> MachineRecord:
    made = MachineRecord(
        node=node,
        cloud="local",
        application="resize",
        image="img-1",
        size="small",
        phase=Phase.LAUNCHING,
        why=WHY,
        term=1,
        launched_at=NOW,
        phase_at=NOW,
        ends_at=NOW + timedelta(hours=2),
        price_per_hour=0.25,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def decide(store: Store, *launches: MachineRecord, term: int = 1, **made: object) -> bool:
    decisions = Decisions(**made)  # type: ignore[arg-type]
    return store.decide_machines(decisions, launches, term=term, now=LATER)


@pytest.fixture(autouse=True)
def leader(store: Store) -> None:
    """Somebody leads, in term 1."""
    assert store.lease_take("m1") == 1


def test_a_machine_comes_back_as_it_was_decided_and_is_a_node(store: Store) -> None:
    assert decide(store, record())
    assert store.machines() == [record()]
    assert store.get_machine("resize-1") == record()
    assert [node.name for node in store.list_nodes()] == ["resize-1"]


def test_a_deposed_leader_decides_nothing(store: Store) -> None:
    store.lease_release("m1")
    assert store.lease_take("m2") == 2
    assert not decide(store, record(), term=1)
    assert store.machines() == []
    assert store.list_nodes() == []


def test_a_machine_goes_through_its_life(store: Store) -> None:
    decide(store, record())
    assert store.note_launched("resize-1", "i-1", LATER)
    booting = record(handle="i-1", phase=Phase.BOOTING, phase_at=LATER)
    assert store.machines() == [booting]
    decide(store, ready=("resize-1",), idle={"resize-1": NOW})
    ready = replace(booting, phase=Phase.READY, ready_at=LATER, idle_since=NOW)
    assert store.machines() == [ready]
    decide(store, drains=(Ending("resize-1", "without work"),))
    draining = replace(ready, phase=Phase.DRAINING, why="without work")
    assert store.machines() == [draining]
    decide(store, ends=(Ending("resize-1", "it is empty"),))
    assert store.machines() == [replace(draining, phase=Phase.ENDING, why="it is empty")]
    store.note_ended("resize-1", LATER)
    assert store.machines() == []
    assert store.list_nodes() == []
    (ended,) = store.machines(ended_since=NOW)
    assert (ended.phase, ended.ended_at) == (Phase.ENDED, LATER)
    store.prune_machines(LATER + timedelta(seconds=1))
    assert store.machines(ended_since=NOW) == []


def test_no_machine_goes_back_in_its_life(store: Store) -> None:
    decide(store, record(), ends=(Ending("resize-1", "not needed"),))
    decide(store, ready=("resize-1",), drains=(Ending("resize-1", "no"),))
    (ending,) = store.machines()
    assert (ending.phase, ending.why, ending.ready_at) == (Phase.ENDING, "not needed", None)
    assert store.note_launched("resize-1", "i-1", LATER)  # it has to be ended, by its handle
    (ending,) = store.machines()
    assert (ending.phase, ending.handle) == (Phase.ENDING, "i-1")


def test_nobody_wants_a_machine_whose_record_has_ended(store: Store) -> None:
    decide(store, record())
    store.note_ended("resize-1", LATER)
    assert not store.note_launched("resize-1", "i-1", LATER)
    assert not store.note_launched("unheard-of", "i-2", LATER)


def test_what_its_cloud_says_of_a_machine_is_kept(store: Store) -> None:
    decide(store, record())
    store.note_machine("resize-1", broken="is stopped")
    store.note_machine("resize-1", ends_at=LATER)
    assert store.machines() == [record(broken="is stopped", ends_at=LATER)]
    store.note_machine("resize-1", broken="")
    assert store.machines() == [record(ends_at=LATER)]


def test_failed_boots_in_a_row_open_a_breaker(store: Store) -> None:
    for number in range(1, 4):
        failed = Ending(f"n{number}", "did not boot", boot_failed=True)
        decide(store, record(f"n{number}"), ends=(failed,))
        decide(store, ends=(failed,))  # decided twice, counted once
        store.note_console(f"n{number}", f"kernel panic {number}")
        breaker = store.breakers()["local", "img-1"]
        assert breaker == Breaker("img-1", number, f"kernel panic {number}")
        assert breaker.is_open == (number == 3)
    store.forget_breakers("another")
    assert store.breakers()
    store.forget_breakers("resize")
    assert store.breakers() == {}


def test_a_boot_that_succeeds_takes_the_breaker_away(store: Store) -> None:
    decide(store, record("n1"), ends=(Ending("n1", "did not boot", boot_failed=True),))
    decide(store, record("n2"), record("n3", image="img-2"))
    decide(store, ready=("n3",))
    assert store.breakers()
    decide(store, ready=("n2",))
    assert store.breakers() == {}


def test_only_a_machine_of_the_managers_is_drained_or_kept_busy(store: Store) -> None:
    decide(store, record())
    store.restart_idle("resize-1", LATER)
    assert store.get_machine("resize-1").idle_since is None  # it isn't idle
    decide(store, ready=("resize-1",), idle={"resize-1": NOW})
    store.restart_idle("resize-1", LATER)
    assert store.get_machine("resize-1").idle_since == LATER
    store.end_machine("resize-1", "removed by ada", LATER, at_once=False)
    assert store.get_machine("resize-1").phase is Phase.DRAINING
    for call in (store.get_machine, lambda node: store.end_machine(node, "", LATER, at_once=True)):
        with pytest.raises(NotFoundError, match="'n9' is no machine that the manager launched"):
            call("n9")


def test_a_warning_is_said_once_of_each_end(store: Store) -> None:
    assert store.take_warning("local", "i-1", 24, NOW)
    assert not store.take_warning("local", "i-1", 24, NOW)
    assert store.take_warning("local", "i-1", 1, NOW)
    assert store.take_warning("local", "i-1", 24, LATER)  # it was renewed


def test_a_database_has_a_name_of_its_own_on_clouds(store: Store, tmp_path: object) -> None:
    other = Store(f"sqlite:///{tmp_path}/other.db")
    assert len(store.manager_id()) == 16
    assert store.manager_id() == store.manager_id() != other.manager_id()
    other.close()
