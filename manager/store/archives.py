"""Archives of streams in the store."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError
from manager.model import Archive, ArchivePhase, Stored, Tally
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import ArchiveRow, StreamRow, now

#: How often old segments of an archive are looked for.
_SWEEP_EVERY = timedelta(hours=1)
_PROBLEM_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What is no longer in an archive, and what it begins with now; None: with nothing."""

    segments: int
    size_bytes: int
    first_position: int | None
    first_at: datetime | None


class ArchiveQueries(Database):
    """Archives are seen by everybody. One that was stopped stays: its segments do."""

    @contextmanager
    def begun_archive(
        self, stream: str, owner: str, *, passive: bool, keep_days: float | None
    ) -> Iterator[bool]:
        """Begin or change an archive if the block, which makes its queue, succeeds.

        Gives whether it is begun now. Who stops it at the same time comes before or after.
        """
        with self._writing() as session:
            if session.get(StreamRow, stream) is None:
                raise NotFoundError(f"there is no stream {stream!r}")
            row = session.get(ArchiveRow, stream, with_for_update=True)
            begun = row is None or row.phase != ArchivePhase.RECORDING
            if row is None:
                row = ArchiveRow(stream=stream, owner=owner)
                session.add(row)
            row.phase = ArchivePhase.RECORDING.value
            row.passive, row.keep_days = passive, keep_days
            session.flush()
            yield begun

    @contextmanager
    def stopping_archive(self, stream: str) -> Iterator[str | None]:
        """Ask for an archive's end if the block, which puts a mark into its queue, succeeds.

        Gives what the mark has to say; None where the end was asked for before.
        """
        with self._writing() as session:
            row = _row(session, stream, lock=True)
            stopping = row.phase == ArchivePhase.RECORDING
            if stopping:
                row.phase, row.end_mark = ArchivePhase.STOPPING.value, secrets.token_hex(16)
            session.flush()
            yield row.end_mark if stopping else None

    @contextmanager
    def stopped_archive(self, stream: str, mark: str | None) -> Iterator[bool]:
        """End an archive if the block, which deletes its queue, succeeds.

        Gives False, and changes nothing, where its end isn't asked for (any more), or another mark
        is its end. None is any mark: its queue is gone already.
        """
        with self._writing() as session:
            row = session.get(ArchiveRow, stream, with_for_update=True)
            if (
                row is None
                or row.phase != ArchivePhase.STOPPING
                or mark not in {None, row.end_mark}
            ):
                yield False
                return
            row.phase, row.problem, row.end_mark = ArchivePhase.STOPPED.value, "", None
            session.flush()
            yield True

    def find_archive(self, stream: str) -> Archive | None:
        """Return the archive of a stream, or None."""
        with self._reading() as session:
            row = session.get(ArchiveRow, stream)
            return to_archive(row) if row else None

    def get_archive(self, stream: str) -> Archive:
        """Return the archive of a stream."""
        with self._reading() as session:
            return to_archive(_row(session, stream))

    def list_archives(self) -> list[Archive]:
        """Return every archive, by its stream's name."""
        with self._reading() as session:
            return [to_archive(row) for row in session.scalars(_ordered())]

    def page_archives(self, *, limit: int, offset: int) -> Page[Archive]:
        """Return some archives, by their streams' names."""
        with self._reading() as session:
            return paged(session, _ordered(), to_archive, limit=limit, offset=offset)

    def open_archives(self) -> dict[str, ArchivePhase]:
        """Return the archives that aren't stopped; for an archiver, which asks all the time."""
        query = select(ArchiveRow.stream, ArchiveRow.phase)
        query = query.where(ArchiveRow.phase != ArchivePhase.STOPPED.value)
        with self._reading() as session:
            return {stream: ArchivePhase(phase) for stream, phase in session.execute(query)}

    def note_stored(self, stream: str, stored: Stored) -> None:
        """Add segments to an archive's tally; what it has already isn't added again."""
        with self._writing() as session:
            row = session.get(ArchiveRow, stream, with_for_update=True)
            if row is None or row.next_position >= stored.next_position:
                return
            if not row.segments:
                row.first_position, row.first_at = stored.first_position, stored.first_at
            row.segments += stored.segments
            row.size_bytes += stored.size_bytes
            row.next_position = stored.next_position
            row.last_at, row.last_key = stored.last_at, stored.last_key

    def note_problem(self, stream: str, problem: str) -> None:
        """Keep what an archiver can't get over just now; empty when it could."""
        change = update(ArchiveRow).where(ArchiveRow.stream == stream)
        with self._writing() as session:
            session.execute(change.values(problem=problem[:_PROBLEM_LENGTH]))

    def take_sweep(self) -> Archive | None:
        """Return an archive whose old segments nobody has looked for lately; it counts as swept."""
        due = or_(ArchiveRow.swept_at.is_(None), ArchiveRow.swept_at < now() - _SWEEP_EVERY)
        query = select(ArchiveRow).where(ArchiveRow.keep_days.is_not(None), due)
        with self._writing() as session:
            row = session.scalar(query.limit(1).with_for_update(skip_locked=True))
            if row is None:
                return None
            row.swept_at = now()
            return to_archive(row)

    def note_swept(self, stream: str, swept: Swept) -> None:
        """Take what was deleted off an archive's tally."""
        with self._writing() as session:
            row = _row(session, stream, lock=True)
            row.segments = max(0, row.segments - swept.segments)
            row.size_bytes = max(0, row.size_bytes - swept.size_bytes)
            row.first_at = swept.first_at
            row.first_position = row.next_position
            if swept.first_position is not None:
                row.first_position = min(swept.first_position, row.next_position)


def forget_stopped(session: Session, stream: str) -> None:
    """Forget the archive of a stream that is to be removed; its segments stay.

    Raises:
        ConflictError: it isn't stopped.
    """
    row = session.get(ArchiveRow, stream, with_for_update=True)
    if row is not None and row.phase != ArchivePhase.STOPPED:
        raise ConflictError(
            f"stream {stream!r} is being archived:"
            f" 'streamboss stop-archiving-stream {stream}' first"
        )
    session.execute(delete(ArchiveRow).where(ArchiveRow.stream == stream))


def to_archive(row: ArchiveRow) -> Archive:
    """Return the row as a value."""
    return Archive(
        stream=row.stream,
        owner=row.owner,
        phase=ArchivePhase(row.phase),
        passive=row.passive,
        keep_days=row.keep_days,
        problem=row.problem,
        tally=Tally(**{field.name: getattr(row, field.name) for field in fields(Tally)}),
    )


def _ordered() -> Select[ArchiveRow]:
    return select(ArchiveRow).order_by(ArchiveRow.stream)


def _row(session: Session, stream: str, *, lock: bool = False) -> ArchiveRow:
    row = session.get(ArchiveRow, stream, with_for_update=lock)
    if row is None:
        raise NotFoundError(f"stream {stream!r} has no archive")
    return row
