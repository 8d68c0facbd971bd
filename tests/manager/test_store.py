"""The store on SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert

from manager.errors import ConflictError, NotFoundError, StoreUnavailableError
from manager.model import Backlog, DemandMode, Instances, Operation, Role
from manager.store import Store, database_url
from manager.store.database import migration_config
from manager.store.tables import Base, DefinitionRow, LeaseRow
from streams.definition import ProcessDefinition
from streams.errors import SettingsError
from streams.settings import Settings

UPPER = ProcessDefinition(name="Upper", application="upper", exec="tr [a-z] [A-Z]")
LOWER = ProcessDefinition(name="Lower", application="lower", exec="tr [A-Z] [a-z]", timeout=None)


def add_operation(store: Store, name: str = "op", **values: object) -> Operation:
    definition = store.create_definition("ada", UPPER)
    operation = Operation(
        name=name,
        owner="ada",
        process_definition_id=definition.id,
        definition=UPPER,
        input_stream="in",
        output_stream="out",
        **values,  # type: ignore[arg-type]
    )
    with store.created_operation(operation):
        pass
    return operation


def test_the_migrations_give_what_the_tables_say(store: Store) -> None:
    with store._reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_time_is_the_databases_and_passes_whatever_clocks_are_set_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC)
    begun = store.now()
    assert abs(begun - before) < timedelta(seconds=30)
    monkeypatch.setattr(store, "_now_s", lambda _session: before.timestamp() + 7200)
    assert timedelta(0) <= store.now() - begun < timedelta(seconds=60)
    assert store.now() > begun


def test_definitions_from_before_versions_keep_the_one_they_have(database_url: str) -> None:
    store = Store(database_url)
    with store._writer.begin() as connection:
        alembic.command.upgrade(migration_config(connection), "0006")
        values = {"version": 4, "owner": "ada", "document": UPPER.to_mapping()}
        connection.execute(insert(DefinitionRow).values(values))
    assert [d.version for d in store.page_versions(1, owner="ada", limit=9, offset=0).items] == [4]
    assert store.get_definition(1, owner="ada").definition == UPPER
    store.close()


def test_many_managers_may_start_on_a_new_database_at_once(database_url: str) -> None:
    stores, errors = [Store(database_url) for _ in range(4)], list[Exception]()

    def prepare(store: Store) -> None:
        try:
            store.prepare()
        except Exception as error:  # noqa: BLE001 - any is a failure
            errors.append(error)

    threads = [threading.Thread(target=prepare, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert [stream.name for stream in stores[0].list_streams()] == ["streamboss.events"]
    for store in stores:
        store.close()


def test_an_operation_comes_back_as_it_was_kept(store: Store) -> None:
    operation = add_operation(
        store,
        demand=DemandMode.ALWAYS,
        instances=Instances(2, 5),
        linger_s=1.5,
        backlog=Backlog(max_messages=10, max_age_s=0.5),
    )
    assert store.get_operation("op") == operation
    assert store.list_operations() == [operation]


def test_an_operation_brings_the_streams_it_lacks(store: Store) -> None:
    with store.created_stream("in", "bob"):
        pass
    definition = store.create_definition("ada", UPPER)
    operation = Operation("op", "ada", definition.id, UPPER, "in", "out")
    with store.created_operation(operation) as new:
        assert new == ["out"]
    owners = {stream.name: stream.owner for stream in store.list_streams()}
    assert owners == {"in": "bob", "out": "ada", "streamboss.events": ""}


def test_nothing_is_kept_when_the_broker_fails(store: Store) -> None:
    definition = store.create_definition("ada", UPPER)
    operation = Operation("op", "ada", definition.id, UPPER, "in", "out")

    def fail() -> None:
        raise RuntimeError("broker")

    with pytest.raises(RuntimeError), store.created_operation(operation):
        fail()
    with pytest.raises(RuntimeError), store.created_stream("s", "ada"):
        fail()
    assert store.list_operations() == []
    assert [stream.name for stream in store.list_streams()] == ["streamboss.events"]


def test_what_exists_is_a_conflict(store: Store) -> None:
    add_operation(store)
    with pytest.raises(ConflictError, match="operation 'op' exists already"):
        add_operation(store)
    with pytest.raises(ConflictError, match="'in' exists"), store.created_stream("in", "ada"):
        pass


def test_what_is_used_stays_and_says_by_whom(store: Store) -> None:
    add_operation(store)
    with (
        pytest.raises(ConflictError, match="stream 'in' is used by operation 'op'"),
        store.removed_stream("in"),
    ):
        pass
    with pytest.raises(ConflictError, match="definition 1 is used by operation 'op'"):
        store.delete_definition(1, owner=None)


def test_another_definition_is_another_revision(store: Store) -> None:
    add_operation(store)
    assert store.update_definition(1, UPPER, owner="ada", by="ada").version == 1
    assert store.get_operation("op").revision == 1

    assert store.update_definition(1, LOWER, owner="ada", by="bob").version == 2
    operation = store.get_operation("op")
    assert (operation.revision, operation.definition) == (2, LOWER)


def test_a_version_is_never_overwritten_and_goes_with_its_definition(store: Store) -> None:
    store.create_definition("ada", UPPER)
    store.update_definition(1, LOWER, owner=None, by="bob")
    store.update_definition(1, UPPER, owner="ada", by="ada")
    page = store.page_versions(1, owner="ada", limit=2, offset=0)
    assert [(d.version, d.by, d.definition) for d in page.items] == [
        (3, "ada", UPPER),
        (2, "bob", LOWER),
    ]
    assert page.total == 3
    assert store.get_definition(1, owner="ada", version=2).definition == LOWER
    assert store.get_definition(1, owner="ada").version == 3
    assert [d.version for d in store.list_definitions(owner=None)] == [3]
    with pytest.raises(NotFoundError, match="definition 1 has no version 4"):
        store.get_definition(1, owner="ada", version=4)
    with pytest.raises(NotFoundError, match="no process definition 1"):
        store.page_versions(1, owner="bob", limit=9, offset=0)
    store.delete_definition(1, owner="ada")
    store.create_definition("ada", UPPER)
    assert store.page_versions(2, owner=None, limit=9, offset=0).total == 1


def test_definitions_are_their_owners(store: Store) -> None:
    store.create_definition("ada", UPPER)
    store.create_definition("bob", LOWER)
    assert [d.id for d in store.page_definitions(owner="bob", limit=9, offset=0).items] == [2]
    assert store.page_definitions(owner=None, limit=9, offset=0).total == 2
    with pytest.raises(NotFoundError, match="no process definition 2"):
        store.get_definition(2, owner="ada")


def test_ids_are_never_given_twice(store: Store) -> None:
    assert store.create_definition("ada", UPPER).id == 1
    store.delete_definition(1, owner="ada")
    assert store.create_definition("ada", UPPER).id == 2
    assert store.create_definition("ada", UPPER, temporary=True).id < 0
    assert store.create_definition("ada", UPPER).id == 3


def test_pages_hold_what_they_are_asked_for(store: Store) -> None:
    for number in range(5):
        add_operation(store, f"op-{number}")
    page = store.page_operations(limit=2, offset=2)
    assert ([o.name for o in page.items], page.total) == (["op-2", "op-3"], 5)
    assert store.page_streams(limit=1, offset=9).items == []


def test_a_removed_users_things_go_to_whoever_removed_them(store: Store) -> None:
    store.create_user("ada", Role.USER, "h")
    store.create_user("root", Role.ADMIN, "h")
    store.add_token("ada", "t")
    add_operation(store)
    store.delete_user("ada", heir="root")
    assert store.get_operation("op").owner == "root"
    assert store.find_token("t") is None
    with pytest.raises(ConflictError, match="only admin"):
        store.update_user("root", role=Role.VIEWER)


def test_another_password_ends_all_tokens(store: Store) -> None:
    store.create_user("ada", Role.USER, "h")
    store.add_token("ada", "t")
    assert store.find_token("t") is not None
    store.update_user("ada", password_hash="other")
    assert store.find_token("t") is None


def test_one_leads_until_it_lets_go(database_url: str) -> None:
    one, two = Store(database_url), Store(database_url)
    assert one.lease_take("a") == 1
    assert two.lease_take("b") is None
    assert one.lease_take("a") == 1
    one.lease_release("a")
    assert two.lease_take("b") == 2
    assert one.lease_take("a") is None
    one.close()
    two.close()


def test_a_lease_that_ended_is_somebody_elses(postgres_url: str) -> None:
    one, two = Store(postgres_url), Store(postgres_url)
    assert one.lease_take("a") == 1
    with one._writing() as session:
        session.get_one(LeaseRow, 1).until_s -= 10
    assert two.lease_take("b") == 2
    assert one.lease_take("a") is None
    one.close()
    two.close()


def test_on_sqlite_a_dead_leaders_lease_is_taken_at_once(sqlite_url: str) -> None:
    dead, next_one = Store(sqlite_url), Store(sqlite_url)
    assert dead.lease_take("a") == 1
    dead.close()  # as its death does: the lock goes, the row stays
    assert next_one.lease_take("b") == 2
    next_one.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda s: s.get_stream("x"),
        lambda s: s.get_operation("x"),
        lambda s: s.set_demand("x", DemandMode.ALWAYS),
        lambda s: s.get_node("x"),
        lambda s: s.get_user("x"),
        lambda s: s.update_definition(7, UPPER, owner=None, by="ada"),
    ],
)
def test_what_isnt_there_is_said(store: Store, act: Callable[[Store], object]) -> None:
    with pytest.raises(NotFoundError, match="there is no"):
        act(store)


def test_the_sqlite_file_is_its_owners_only(sqlite_url: str, tmp_path: Path) -> None:
    store = Store(sqlite_url)
    store.ping()
    assert (tmp_path / "manager.db").stat().st_mode & 0o077 == 0
    store.close()


def test_a_database_that_isnt_there_is_one_clear_line() -> None:
    store = Store("postgresql://ada:secret@127.0.0.1:1/streamboss")
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1/streamboss") as caught:
            store.ping()
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    store.close()


def test_without_a_url_the_database_is_beside_the_settings(tmp_path: Path) -> None:
    below = tmp_path / "deeper"
    assert database_url(Settings(), below) == f"sqlite:///{below}/.streamboss/manager.db"
    (tmp_path / ".streamboss").mkdir()
    (tmp_path / ".streamboss/env").touch()
    assert database_url(Settings(), below) == f"sqlite:///{tmp_path}/.streamboss/manager.db"
    assert database_url(Settings(database_url="sqlite:////x.db"), below) == "sqlite:////x.db"


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="STREAMBOSS_DATABASE_URL"):
        Store(url)
