"""Backups: everything comes back, on either kind of database, or nothing is touched."""

import gzip
import json
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from manager.errors import BackupError, ConflictError
from manager.model import Role
from manager.store import Backups, Store
from manager.store.tables import Base
from manager.users import Users
from tests.manager.databases import create_database
from tests.manager.filling import UPPER, Rows, fill, rows


def seen(store: Store) -> Rows:
    """Return what is in a store's database."""
    with store._reading() as session:
        return rows(session.connection())


def filled(store: Store) -> Rows:
    """Put something into each table; return it."""
    with store._writing() as session:
        fill(session.connection())
    return seen(store)


def backed_up(url: str) -> bytes:
    file = BytesIO()
    with closing(Backups(url)) as database:
        database.backup(file)
    return file.getvalue()


def restored(url: str, content: bytes, *, force: bool = False) -> Store:
    with closing(Backups(url)) as database:
        database.restore(BytesIO(content), force=force)
    return Store(url)


@pytest.fixture(params=["sqlite", "postgres"])
def other_url(request: pytest.FixtureRequest, tmp_path: Path, postgres: str) -> str:
    """A second database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/other.db"
    return create_database(postgres)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, Rows]:
    """A database that no test changes, its backup, and what is in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('kept')}/manager.db"
    with closing(Store(url)) as store:
        given = filled(store)
    return url, backed_up(url), given


def test_everything_comes_back_on_any_kind_of_database(store: Store, other_url: str) -> None:
    # Given a database with something in each table, and an id that was given and is free again
    filled(store)
    given_once = store.create_definition("ada", UPPER).id
    store.delete_definition(given_once, owner=None)
    given = seen(store)
    assert all(given.values())
    # When it is backed up and restored elsewhere, then all of it is there
    other = restored(other_url, backed_up(store._url))
    assert seen(other) == given
    assert other.get_operation("op") == store.get_operation("op")
    # and an id isn't given a second time, nobody's cookie is good, and the next leader is believed
    assert other.create_definition("ada", UPPER).id == given_once + 1
    with other._reading() as session:
        assert not session.execute(select(Base.metadata.tables["sessions"])).first()
    before, after = store.lease_take("a"), other.lease_take("b")
    assert before
    assert after
    assert after > before
    assert _manager_of(other) == _manager_of(store)
    other.close()


def _manager_of(store: Store) -> str:
    with store._reading() as session:
        return str(session.execute(select(Base.metadata.tables["leases"].c.manager)).scalar_one())


def test_what_is_there_is_overwritten_only_by_force(store: Store, tmp_path: Path) -> None:
    filled(store)
    content = backed_up(store._url)
    store.create_user("later", Role.USER, "h")
    given = seen(store)
    with pytest.raises(ConflictError, match=r"isn't empty .*users.*--force"):
        restored(store._url, content)
    assert seen(store) == given
    restored(store._url, content, force=True).close()
    assert [user.name for user in store.page_users(limit=9, offset=0).items] == ["users-name"]


def test_a_database_that_was_only_started_is_empty(store: Store, tmp_path: Path) -> None:
    filled(store)
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    Store(fresh).ping()
    restored(fresh, backed_up(store._url)).close()


def test_nothing_is_restored_under_a_manager_at_work(store: Store) -> None:
    given = filled(store)
    content = backed_up(store._url)
    assert store.lease_take("a manager")
    with pytest.raises(ConflictError, match="a manager works on this database"):
        restored(store._url, content, force=True)
    assert seen(store) == given


def _edited(edit: Callable[[list[dict[str, Any]]], object]) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
        edit(lines)
        return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    return change


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[: len(content) // 2], "not a whole backup"),
        (lambda content: content[:-8] + b"xxxx" + content[-4:], "not a whole backup"),
        (lambda _: b"", "not a backup"),
        (lambda _: b"SQLite format 3\0", "not a whole backup"),
        (lambda _: gzip.compress(b"[1, 2]\n"), "not a backup"),
        (_edited(lambda lines: lines.pop(-2)), "rows are missing"),
        (_edited(lambda lines: lines.pop()), "it breaks off"),
        (_edited(lambda lines: lines[0].update(revision="9999")), "newer Streamboss.*9999"),
        (_edited(lambda lines: lines[0].update(format=2)), "newer Streamboss"),
        (_edited(lambda lines: lines[2].update(table="strangers")), "'strangers'"),
        (_edited(lambda lines: lines[2]["row"].update(strange=1)), "not a backup"),
        (_edited(lambda lines: lines[2].pop("row")), "not a backup"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    kept: tuple[str, bytes, Rows], damage: Callable[[bytes], bytes], problem: str
) -> None:
    url, content, given = kept
    with pytest.raises(BackupError, match=problem):
        restored(url, damage(content), force=True)
    with closing(Store(url)) as store:
        assert seen(store) == given
        assert store.lease_take("the next")


def test_a_backup_is_one_moment_although_others_write(store: Store) -> None:
    # Given a backup that has begun
    given = filled(store)
    users = Users(store)

    class Slow(BytesIO):
        """Whoever writes the first bytes of it sees the database change."""

        def write(self, data: Any) -> int:
            if not self.tell():
                users.add("eve", "a secret word", Role.USER)
            return super().write(data)

    file = Slow()
    with closing(Backups(store._url)) as database:
        database.backup(file)
    # Then what came meanwhile isn't in it
    assert {user.name for user in store.page_users(limit=9, offset=0).items} >= {"eve"}
    restored(store._url, file.getvalue(), force=True).close()
    assert seen(store) == given


def test_an_empty_place_is_said(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(BackupError, match=r"nothing to back up: .*none\.db isn't there"):
        backed_up(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(BackupError, match="no manager has worked"):
        backed_up(postgres_url)
