"""Streams in the store."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError, listed
from manager.model import Stream
from manager.store.archives import forget_stopped
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.replays import none_unfinished
from manager.store.tables import OperationRow, StreamRow


class StreamQueries(Database):
    """Streams are seen by everybody."""

    @contextmanager
    def created_stream(self, name: str, owner: str) -> Iterator[Stream]:
        """Keep a new stream if the block, which makes it on the broker, succeeds."""
        with self._writing() as session:
            if session.get(StreamRow, name):
                raise ConflictError(f"stream {name!r} exists already")
            row = StreamRow(name=name, owner=owner)
            session.add(row)
            session.flush()
            yield to_stream(row)

    def find_stream(self, name: str) -> Stream | None:
        """Return a stream, or None."""
        with self._reading() as session:
            row = session.get(StreamRow, name)
            return to_stream(row) if row else None

    def get_stream(self, name: str) -> Stream:
        """Return a stream."""
        with self._reading() as session:
            return to_stream(_row(session, name))

    def list_streams(self) -> list[Stream]:
        """Return every stream, by name."""
        query = select(StreamRow.name, StreamRow.owner).order_by(StreamRow.name)
        with self._reading() as session:  # there may be many, and it is asked often: no entities
            return [Stream(name, owner) for name, owner in session.execute(query)]

    def page_streams(self, *, limit: int, offset: int) -> Page[Stream]:
        """Return some streams, by name."""
        with self._reading() as session:
            return paged(session, _ordered(), to_stream, limit=limit, offset=offset)

    @contextmanager
    def removed_stream(self, name: str) -> Iterator[None]:
        """Forget a stream that no operation uses if the block, which deletes it, succeeds."""
        with self._writing() as session:
            row = _row(session, name)
            users = session.scalars(
                select(OperationRow.name)
                .where(or_(OperationRow.input_stream == name, OperationRow.output_stream == name))
                .order_by(OperationRow.name)
            ).all()
            if users:
                raise ConflictError(
                    f"stream {name!r} is used by {listed('operation', users)}: remove them first"
                )
            none_unfinished(session, name)
            forget_stopped(session, name)
            session.delete(row)
            session.flush()
            yield


def to_stream(row: StreamRow) -> Stream:
    """Return the row as a value."""
    return Stream(name=row.name, owner=row.owner)


def _ordered() -> Select[StreamRow]:
    return select(StreamRow).order_by(StreamRow.name)


def _row(session: Session, name: str) -> StreamRow:
    row = session.get(StreamRow, name)
    if row is None:
        raise NotFoundError(f"there is no stream {name!r}")
    return row
