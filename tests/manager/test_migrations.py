"""Tables of every version, with something in each, on their way to those of today."""

from contextlib import closing

import alembic.command
import pytest

from manager.model import ArchivePhase, DemandMode, Role
from manager.store import Store
from manager.store.database import migration_config, versions
from tests.manager.filling import MOMENT, UPPER, Rows, fill, rows


def _made_at(url: str, version: str) -> Rows:
    """Make a database as it was at `version`, with a row in each table; return them."""
    with closing(Store(url)) as store, store._rebuilding() as connection:
        alembic.command.upgrade(migration_config(connection), version)
        fill(connection)
        return rows(connection)


@pytest.mark.parametrize("version", versions())
def test_what_was_kept_at_any_version_is_there_at_the_newest(
    database_url: str, version: str
) -> None:
    # Given rows in all tables of a version
    given = _made_at(database_url, version)
    # When today's Streamboss opens that database
    with closing(Store(database_url)) as store:
        store.prepare()
        with store._reading() as session:
            today = rows(session.connection())
        # Then each row is there, with each field that it had
        for table, kept in given.items():
            fields = kept[0].keys()
            assert [{name: row[name] for name in fields} for row in today[table]] == kept
        # and means the same
        operation = store.get_operation("op")
        assert (operation.definition, operation.demand) == (UPPER, DemandMode.ALWAYS)
        assert operation.backlog.max_messages == 10
        assert [user.role for user in store.page_users(limit=9, offset=0).items] == [Role.ADMIN]
        assert [archive.phase for archive in store.list_archives()] == [
            ArchivePhase.RECORDING for _ in given.get("archives", ())
        ]
        assert [machine.launched_at for machine in store.machines()] == [
            MOMENT for _ in given.get("machines", ())
        ]
        assert store.replay_states().keys() == {row["id"] for row in given.get("replays", ())}
        assert store.lease_take("somebody")
