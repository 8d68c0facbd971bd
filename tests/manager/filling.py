"""Rows for every table as the database has it, at whatever version its tables are."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Float,
    Integer,
    MetaData,
    RowMapping,
    Table,
    insert,
    select,
)

from streams.definition import ProcessDefinition

UPPER = ProcessDefinition(name="Upper", application="upper", exec="tr [a-z] [A-Z]")
MOMENT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
#: Where not any value will do.
_SPECIAL: dict[tuple[str, str], Any] = {
    ("process_definitions", "id"): -3,
    ("process_definitions", "document"): UPPER.model_dump(mode="json", exclude_defaults=True),
    ("operations", "name"): "op",
    ("operations", "demand"): "always",
    ("operations", "backlog"): {"max_messages": 10},
    ("users", "role"): "admin",
    ("archives", "phase"): "recording",
    ("replays", "state"): "running",
    ("replays", "speed"): "10x",
    ("replays", "position"): None,
    ("replays", "problems"): ["one", "tw\u00f6"],
    ("machines", "phase"): "ready",
    ("machines", "ended_at"): None,
}

Rows = dict[str, list[dict[str, Any]]]


def tables(connection: Connection) -> list[Table]:
    """Return the tables, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def fill(connection: Connection) -> None:
    """Put a row into each table that is there; the lease has its one already."""
    for table in tables(connection):
        if table.name != "leases":
            row = {column.name: _value(table, column, connection) for column in table.columns}
            connection.execute(insert(table), row)


def rows(connection: Connection) -> Rows:
    """Return all that is in the tables, but who leads and who is logged in."""
    return {
        table.name: sorted(
            (_zoneless(row) for row in connection.execute(select(table)).mappings()), key=repr
        )
        for table in tables(connection)
        if table.name not in {"leases", "sessions"}
    }


def _zoneless(row: RowMapping) -> dict[str, Any]:
    """Return a row with moments in UTC that don't say so: SQLite says it of some only."""
    return {
        name: value.astimezone(UTC).replace(tzinfo=None)
        if isinstance(value, datetime) and value.tzinfo
        else value
        for name, value in row.items()
    }


def _value(table: Table, column: Column[Any], connection: Connection) -> Any:
    if (table.name, column.name) in _SPECIAL:
        return _SPECIAL[table.name, column.name]
    for key in column.foreign_keys:
        return connection.execute(select(key.column).order_by(key.column.desc())).scalars().first()
    return _of_type(table, column)


def _of_type(table: Table, column: Column[Any]) -> Any:
    match column.type:
        case JSON():
            return {"some": ["thing", None, 1.5, "\u00e4"]}
        case DateTime():
            return MOMENT
        case Boolean():
            return True
        case Float() | Double():
            return 1.5
        case Integer():
            return 3
        case _:
            return f"{table.name}-{column.name}"[: getattr(column.type, "length", None)]
