"""Process definitions in the store."""

import secrets

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError, listed
from manager.model import Definition
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import DefinitionRow, OperationRow
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
            return to_definition(row)

    def get_definition(self, number: int, *, owner: str | None) -> Definition:
        """Return a definition."""
        with self._reading() as session:
            return to_definition(_row(session, number, owner))

    def page_definitions(self, *, owner: str | None, limit: int, offset: int) -> Page[Definition]:
        """Return some definitions, the oldest first."""
        query = select(DefinitionRow).order_by(DefinitionRow.id)
        if owner is not None:
            query = query.where(DefinitionRow.owner == owner)
        with self._reading() as session:
            return paged(session, query, to_definition, limit=limit, offset=offset)

    def update_definition(
        self, number: int, definition: ProcessDefinition, *, owner: str | None
    ) -> Definition:
        """Make another version, if it differs; operations that use it get another revision."""
        document = definition.to_mapping()
        with self._writing() as session:
            row = _row(session, number, owner)
            if row.document != document:
                row.document = document
                row.version += 1
                session.execute(
                    update(OperationRow)
                    .where(OperationRow.process_definition_id == number)
                    .values(revision=OperationRow.revision + 1)
                )
            session.flush()
            return to_definition(row)

    def delete_definition(self, number: int, *, owner: str | None) -> None:
        """Remove a definition that no operation uses."""
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


def to_definition(row: DefinitionRow) -> Definition:
    """Return the row as a value."""
    return Definition(
        id=row.id,
        version=row.version,
        owner=row.owner,
        definition=ProcessDefinition.from_mapping(row.document),
    )


def _row(session: Session, number: int, owner: str | None) -> DefinitionRow:
    row = session.get(DefinitionRow, number)
    if row is None or owner not in (None, row.owner):
        raise NotFoundError(f"there is no process definition {number}")
    return row
