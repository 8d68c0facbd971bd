"""Process definitions in the store, with all their versions."""

import secrets

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError, listed
from manager.model import Definition
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import DefinitionRow, DefinitionVersionRow, OperationRow
from streams.definition import ProcessDefinition

#: Ids of temporary definitions are drawn by lot below 0, down to what the column holds.
_MOST_TEMPORARY = 2**31 - 1


class DefinitionQueries(Database):
    """Definitions are seen by their owner; `owner=None` means anybody's."""

    def create_definition(
        self, owner: str, definition: ProcessDefinition, *, temporary: bool = False
    ) -> Definition:
        """Keep a new definition and give it the next id; a temporary one takes none of those."""
        number = -secrets.randbelow(_MOST_TEMPORARY) - 1 if temporary else None
        with self._writing() as session:
            row = DefinitionRow(id=number, owner=owner, document=definition.to_mapping())
            session.add(row)
            session.flush()
            return _kept(session, row, by=owner)

    def get_definition(
        self, number: int, *, owner: str | None, version: int | None = None
    ) -> Definition:
        """Return a definition as it is now, or as it was in a version."""
        with self._reading() as session:
            row = _row(session, number, owner)
            return _version(session, row, version or row.version)

    def list_definitions(self, *, owner: str | None) -> list[Definition]:
        """Return all definitions, the oldest first."""
        with self._reading() as session:
            return [_to_definition(row) for row in session.scalars(_current(owner))]

    def page_definitions(self, *, owner: str | None, limit: int, offset: int) -> Page[Definition]:
        """Return some definitions, the oldest first."""
        with self._reading() as session:
            return paged(session, _current(owner), _to_definition, limit=limit, offset=offset)

    def page_versions(
        self, number: int, *, owner: str | None, limit: int, offset: int
    ) -> Page[Definition]:
        """Return some versions of a definition, the newest first."""
        query = (
            select(DefinitionVersionRow)
            .where(DefinitionVersionRow.definition_id == number)
            .order_by(DefinitionVersionRow.version.desc())
        )
        with self._reading() as session:
            _row(session, number, owner)
            return paged(session, query, _to_definition, limit=limit, offset=offset)

    def update_definition(
        self, number: int, definition: ProcessDefinition, *, owner: str | None, by: str
    ) -> Definition:
        """Make another version, if it differs; operations that use it get another revision."""
        document = definition.to_mapping()
        with self._writing() as session:
            row = _row(session, number, owner, lock=True)
            if row.document == document:
                return _version(session, row, row.version)
            row.document = document
            row.version += 1
            session.execute(
                update(OperationRow)
                .where(OperationRow.process_definition_id == number)
                .values(revision=OperationRow.revision + 1)
            )
            return _kept(session, row, by=by)

    def delete_definition(self, number: int, *, owner: str | None) -> None:
        """Remove a definition that no operation uses, with its versions."""
        with self._writing() as session:
            row = _row(session, number, owner)
            users = session.scalars(
                select(OperationRow.name)
                .where(OperationRow.process_definition_id == number)
                .order_by(OperationRow.name)
            ).all()
            if users:
                raise ConflictError(
                    f"process definition {number} is used by {listed('operation', users)}:"
                    " remove them first"
                )
            session.delete(row)


def _current(owner: str | None) -> Select[DefinitionVersionRow]:
    """Return the query for the latest version of each definition."""
    query = (
        select(DefinitionVersionRow)
        .join(DefinitionVersionRow.of)
        .where(DefinitionVersionRow.version == DefinitionRow.version)
        .order_by(DefinitionVersionRow.definition_id)
    )
    return query if owner is None else query.where(DefinitionRow.owner == owner)


def _kept(session: Session, row: DefinitionRow, *, by: str) -> Definition:
    """Keep what a definition is now as its latest version."""
    made = DefinitionVersionRow(of=row, version=row.version, by=by, document=row.document)
    session.add(made)
    session.flush()
    return _to_definition(made)


def _version(session: Session, row: DefinitionRow, version: int) -> Definition:
    found = session.get(DefinitionVersionRow, (row.id, version))
    if found is None:
        raise NotFoundError(f"process definition {row.id} has no version {version}")
    return _to_definition(found)


def _to_definition(row: DefinitionVersionRow) -> Definition:
    return Definition(
        id=row.definition_id,
        version=row.version,
        owner=row.of.owner,
        definition=ProcessDefinition.from_mapping(row.document),
        by=row.by,
        at=row.created_at,
    )


def _row(session: Session, number: int, owner: str | None, *, lock: bool = False) -> DefinitionRow:
    row = session.get(DefinitionRow, number, with_for_update=lock or None)
    if row is None or owner not in (None, row.owner):
        raise NotFoundError(f"there is no process definition {number}")
    return row
