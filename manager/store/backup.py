"""The manager's state in one file, and back: each row of each table, in JSON lines, compressed.

The same for both kinds of database, so what was kept in SQLite can be restored to PostgreSQL. A
backup is one transaction's view, taken while managers work. A restore is one transaction, too: it
makes the tables as they were at the backup, fills them, and migrates them to those of today.
"""

import gzip
import json
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, BinaryIO

import alembic.command
from sqlalchemy import Connection, DateTime, MetaData, RowMapping, Table, insert, select, text

from manager.errors import BackupError, ConflictError
from manager.lease import LEASE_S
from manager.store.database import migration_config, versions
from manager.store.leases import LeaseQueries
from manager.store.tables import Base, LeaseRow

_KIND, _FORMAT = "streamboss backup", 1
_VERSIONS = "alembic_version"
#: So many rows go to the database at once.
_BATCH = 500
#: Whoever was logged in then may have logged out since.
_LEFT_OUT = frozenset({_VERSIONS, "sessions"})
#: Tables whose ids are never given twice, also after a removal.
_COUNTED = tuple(
    table.name
    for table in Base.metadata.sorted_tables
    if table.dialect_options["sqlite"]["autoincrement"]
)

Json = dict[str, Any]


class Backups(LeaseQueries):
    """`Backups("sqlite:////path/manager.db")` writes and reads backups of that database."""

    def backup(self, file: BinaryIO) -> int:
        """Write a backup; return how many rows it holds. Managers may work meanwhile.

        Raises:
            StoreUnavailableError: the database doesn't answer.
            BackupError: there is nothing of ours in it.
        """
        rows = 0
        with self._explained(), self._snapshot() as connection:
            tables = _tables(connection)
            if _VERSIONS not in tables:
                raise BackupError("nothing to back up: no manager has worked on this database yet")
            with gzip.GzipFile(filename="", fileobj=file, mode="wb") as packed:
                for line in _lines(connection, tables):
                    packed.write(json.dumps(line).encode() + b"\n")
                    rows += "row" in line
        return rows

    def restore(self, file: BinaryIO, *, force: bool) -> int:
        """Replace everything by a backup; return how many rows it held.

        All of it happens, or nothing.

        Raises:
            StoreUnavailableError: the database doesn't answer.
            BackupError: the file isn't a whole backup, or one of a newer Streamboss.
            ConflictError: the database isn't empty (`force` overwrites it), or a manager works
                on it.
        """
        lines = _read(file)
        holder = f"restore-{secrets.token_hex(8)}"
        if self.lease_take(holder) is None:
            raise ConflictError("a manager works on this database: stop it first")
        try:
            with self._explained(), self._rebuilding() as connection:
                if not force and (found := _found(connection)):
                    raise ConflictError(
                        f"the database isn't empty ({', '.join(found)}):"
                        " --force replaces all that is in it"
                    )
                return _rebuild(connection, lines, holder)
        finally:
            self.lease_release(holder)

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """A transaction in which nobody else's changes are seen."""
        if self.is_sqlite and not self.sqlite_path.exists():
            raise BackupError(f"nothing to back up: {self.sqlite_path} isn't there")
        with self._engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection


# out


def _lines(connection: Connection, tables: Mapping[str, Table]) -> Iterator[Json]:
    """Yield what a backup is, its counters, its rows, and how many those were."""
    revision = connection.execute(select(tables[_VERSIONS].c.version_num)).scalar_one()
    made_at = datetime.now(UTC).isoformat()
    yield {"kind": _KIND, "format": _FORMAT, "revision": revision, "made_at": made_at}
    yield {"counters": {name: _count(connection, name) for name in _COUNTED if name in tables}}
    rows = 0
    for table in tables.values():
        if table.name not in _LEFT_OUT:
            asked = select(table).execution_options(yield_per=_BATCH)
            for row in connection.execute(asked).mappings():
                yield {"table": table.name, "row": _plain(row)}
                rows += 1
    yield {"rows": rows}


def _tables(connection: Connection) -> dict[str, Table]:
    """Return our tables as they are in the database, those that others refer to first."""
    known = {*Base.metadata.tables, _VERSIONS}
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: name in known)
    return {table.name: table for table in metadata.sorted_tables}


def _count(connection: Connection, name: str) -> int:
    """Return the last id that was given."""
    if connection.dialect.name == "sqlite":
        asked = text("SELECT seq FROM sqlite_sequence WHERE name = :name").bindparams(name=name)
        return connection.execute(asked).scalar() or 0
    asked = text(f"SELECT last_value FROM {name}_id_seq WHERE is_called")  # noqa: S608 - our names
    return connection.execute(asked).scalar() or 0


def _plain(row: RowMapping) -> Json:
    return {name: _instant(value) for name, value in row.items()}


def _instant(value: object) -> object:
    """Return a moment as text in UTC, which SQLite keeps without saying so."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


# in


def _read(file: BinaryIO) -> Iterator[Json]:
    """Yield a backup's lines.

    Raises:
        BackupError: it breaks off, or isn't one.
    """
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            for line in packed:
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise BackupError("not a backup: a line that is no object")
                yield content
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise BackupError(f"not a whole backup: {error}") from None


def _revision(head: Json) -> str:
    if head.get("kind") != _KIND or head.get("format") != _FORMAT:
        raise BackupError("not a backup, or one of a newer Streamboss")
    revision = str(head.get("revision"))
    if revision not in versions():
        raise BackupError(f"a backup of a newer Streamboss (its tables are of version {revision})")
    return revision


def _found(connection: Connection) -> list[str]:
    """Return the tables in which there is more than a first start puts there."""
    own = {"leases", _VERSIONS}
    tables = [table for name, table in _tables(connection).items() if name not in own]
    return [table.name for table in tables if connection.execute(_any_row(table)).first()]


def _any_row(table: Table) -> Any:
    asked = select(table).limit(1)
    return asked.where(table.c.owner != "") if table.name == "streams" else asked


def _rebuild(connection: Connection, lines: Iterator[Json], holder: str) -> int:
    term = connection.execute(select(LeaseRow.term)).scalar_one()
    revision = _revision(next(lines, {}))
    counters: dict[str, int] = next(lines, {}).get("counters", {})
    Base.metadata.drop_all(connection)
    connection.execute(text(f"DROP TABLE {_VERSIONS}"))
    config = migration_config(connection)
    alembic.command.upgrade(config, revision)
    tables = _tables(connection)
    for name in reversed(tables):
        if name != _VERSIONS:
            connection.execute(tables[name].delete())
    rows = _fill(connection, tables, lines)
    alembic.command.upgrade(config, "head")
    for name, count in counters.items():
        _set_count(connection, name, count)
    _lead(connection, term, holder)
    return rows


def _fill(connection: Connection, tables: Mapping[str, Table], lines: Iterator[Json]) -> int:
    rows = 0
    for name, group in groupby(lines, key=lambda line: line.get("table")):
        if name is None:
            if next(group).get("rows") != rows:
                raise BackupError("not a whole backup: rows are missing")
            if next(lines, None) is not None:  # the last read is what checks the sum of all
                raise BackupError("not a backup: it goes on after its end")
            return rows
        table = tables.get(name)
        if table is None:
            raise BackupError(f"not a backup: a table {name!r}")
        while batch := [_typed(table, line.get("row")) for line in islice(group, _BATCH)]:
            connection.execute(insert(table), batch)
            rows += len(batch)
    raise BackupError("not a whole backup: it breaks off")


def _typed(table: Table, row: object) -> Json:
    if not isinstance(row, dict) or set(row) != set(table.c.keys()):
        raise BackupError(f"not a backup: a row that doesn't fit into {table.name}")
    return {
        name: datetime.fromisoformat(value)
        if value is not None and isinstance(table.c[name].type, DateTime)
        else value
        for name, value in row.items()
    }


def _set_count(connection: Connection, name: str, count: int) -> None:
    if connection.dialect.name == "sqlite":
        values = {"name": name, "count": count}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :count)"), values)
    elif count:
        connection.execute(text(f"SELECT setval('{name}_id_seq', :count)"), {"count": count})


def _lead(connection: Connection, term: int, holder: str) -> None:
    """Keep the lease, with a term above all that agents may have seen since the backup.

    A term for each minute since 1970 is more than leaders ever change.
    """
    lease = Base.metadata.tables["leases"]
    then = connection.execute(select(lease.c.term)).scalar_one()
    now_s = time.time()
    values = {
        "term": max(then, term, int(now_s // 60)),
        "holder": holder,
        "until_s": now_s + LEASE_S,
    }
    connection.execute(lease.update().values(**values))
