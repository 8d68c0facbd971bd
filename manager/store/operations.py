"""Operations in the store."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, Text, cast, select
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError
from manager.model import Backlog, DemandMode, Instances, Operation
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import DefinitionRow, OperationRow, StreamRow
from streams.definition import ProcessDefinition


class OperationQueries(Database):
    """Operations are seen by everybody."""

    @contextmanager
    def created_operation(self, operation: Operation) -> Iterator[list[str]]:
        """Keep a new operation and the streams it lacks if the block succeeds.

        The block makes them on the broker; it is given the names of the streams that are new.
        """
        with self._writing() as session:
            if session.get(OperationRow, operation.name):
                raise ConflictError(f"operation {operation.name!r} exists already")
            wanted = (operation.input_stream, operation.output_stream)
            new = [name for name in wanted if session.get(StreamRow, name) is None]
            session.add_all(StreamRow(name=name, owner=operation.owner) for name in new)
            session.flush()
            session.add(_to_row(operation))
            session.flush()
            yield new

    def find_operation(self, name: str) -> Operation | None:
        """Return an operation, or None."""
        with self._reading() as session:
            found = session.execute(_joined().where(OperationRow.name == name)).first()
            return _of(*found) if found else None

    def get_operation(self, name: str) -> Operation:
        """Return an operation."""
        operation = self.find_operation(name)
        if operation is None:
            raise NotFoundError(f"there is no operation {name!r}")
        return operation

    def list_operations(self) -> list[Operation]:
        """Return every operation with its definition, by name."""
        kept = [c for c in OperationRow.__table__.c if c.name not in {"created_at", "backlog"}]
        texts = [
            cast(OperationRow.backlog, Text).label("backlog"),
            cast(DefinitionRow.document, Text).label("document"),
        ]
        query = (
            select(*kept, *texts)
            .join(DefinitionRow, OperationRow.process_definition_id == DefinitionRow.id)
            .order_by(OperationRow.name)
        )
        with self._reading() as session:  # there may be many, and it is asked often: no entities
            return [_known(row) for row in session.execute(query)]

    def page_operations(self, *, limit: int, offset: int) -> Page[Operation]:
        """Return some operations, by name."""
        with self._reading() as session:
            names = paged(
                session,
                select(OperationRow).order_by(OperationRow.name),
                lambda row: row.name,
                limit=limit,
                offset=offset,
            )
            query = _joined().where(OperationRow.name.in_(names.items))
            found = [_of(row, used) for row, used in session.execute(query)]
            return Page(found, names.total)

    @contextmanager
    def changed_operation(
        self, name: str, change: Callable[[Operation], Operation]
    ) -> Iterator[tuple[Operation, Operation]]:
        """Keep what `change` makes of an operation if the block, which applies it, succeeds.

        Another definition is another revision. The block is given the operation before and after.
        """
        with self._writing() as session:
            row = _row(session, name, lock=True)
            used = session.get_one(DefinitionRow, row.process_definition_id)
            before = _of(row, used)
            after = change(before)
            if after.process_definition_id != before.process_definition_id:
                after = replace(after, revision=before.revision + 1)
            _fill(row, after)
            session.flush()
            yield before, after

    def set_demand(self, operation: str, demand: DemandMode) -> None:
        """Say when an operation is wanted."""
        with self._writing() as session:
            _row(session, operation).demand = demand

    @contextmanager
    def removed_operation(self, name: str) -> Iterator[None]:
        """Forget an operation if the block, which deletes its queues, succeeds."""
        with self._writing() as session:
            session.delete(_row(session, name))
            session.flush()
            yield


def _joined() -> Select[OperationRow, DefinitionRow]:
    return (
        select(OperationRow, DefinitionRow)
        .join(DefinitionRow, OperationRow.process_definition_id == DefinitionRow.id)
        .order_by(OperationRow.name)
    )


def _row(session: Session, name: str, *, lock: bool = False) -> OperationRow:
    row = session.get(OperationRow, name, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no operation {name!r}")
    return row


def _to_row(operation: Operation) -> OperationRow:
    row = OperationRow(
        name=operation.name,
        owner=operation.owner,
        input_stream=operation.input_stream,
        output_stream=operation.output_stream,
    )
    _fill(row, operation)
    return row


def _fill(row: OperationRow, operation: Operation) -> None:
    """Set what may change in an operation's life."""
    row.process_definition_id = operation.process_definition_id
    row.revision = operation.revision
    row.demand = operation.demand
    row.instances_min = operation.instances.min
    row.instances_max = operation.instances.max
    row.linger_s = operation.linger_s
    row.drain_s = operation.drain_s
    row.backlog = asdict(operation.backlog)


@lru_cache(maxsize=10_000)
def _parsed(document: str) -> ProcessDefinition:
    return ProcessDefinition.from_mapping(json.loads(document))


@lru_cache(maxsize=10_000)
def _known(row: Row[Any]) -> Operation:
    """Return the operation of a row with texts where it has documents: most are as they were."""
    return _to_operation(row, _parsed(row.document), json.loads(row.backlog))


def _of(row: OperationRow, used: DefinitionRow) -> Operation:
    return _to_operation(row, ProcessDefinition.from_mapping(used.document), row.backlog)


def _to_operation(
    row: OperationRow | Row[Any], definition: ProcessDefinition, backlog: dict[str, Any]
) -> Operation:
    return Operation(
        name=row.name,
        owner=row.owner,
        process_definition_id=row.process_definition_id,
        definition=definition,
        input_stream=row.input_stream,
        output_stream=row.output_stream,
        revision=row.revision,
        demand=DemandMode(row.demand),
        instances=Instances(row.instances_min, row.instances_max),
        linger_s=row.linger_s,
        drain_s=row.drain_s,
        backlog=Backlog(**backlog),
    )
