"""The activity: what happened. Rows are added, and removed when they are old; never changed.

It is the way of events to the stream `streamboss.events`, too: what the broker hasn't got yet is
marked, so that neither an outage nor a kill loses any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, or_, select, update

from manager.events import Event
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import ActivityRow

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events: of a kind (`operation`, `operation.state`), a thing, a person; empty is any.

    `like` is a part of a thing's name, in letters of either case.
    """

    kind: str = ""
    name: str = ""
    by: str = ""
    like: str = ""

    def narrow(self, query: Select[ActivityRow]) -> Select[ActivityRow]:
        """Return the query for these events alone."""
        if self.kind:
            exact = ActivityRow.event == self.kind
            query = query.where(
                or_(exact, ActivityRow.event.startswith(f"{self.kind}.", autoescape=True))
            )
        if self.name:
            query = query.where(ActivityRow.name == self.name)
        if self.like:
            query = query.where(ActivityRow.name.icontains(self.like, autoescape=True))
        return query.where(ActivityRow.by == self.by) if self.by else query


class ActivityQueries(Database):
    """What happened is seen by everybody."""

    def note_events(self, events: Sequence[Event]) -> None:
        """Keep what happened."""
        rows = [_to_row(event) for event in events]
        if rows:
            with self._writing() as session:
                session.add_all(rows)

    def page_activity(self, asked: Asked, *, limit: int, offset: int) -> Page[Event]:
        """Return some events, the newest first."""
        query = asked.narrow(select(ActivityRow).order_by(ActivityRow.id.desc()))
        with self._reading() as session:
            return paged(session, query, to_event, limit=limit, offset=offset)

    def last_event(self) -> int:
        """Return the number of the newest event."""
        with self._reading() as session:
            return session.scalar(select(func.max(ActivityRow.id))) or 0

    def recent_activity(
        self, asked: Asked, *, limit: int, before: int | None = None, since: int = 0
    ) -> list[tuple[int, Event]]:
        """Return events with their numbers, the newest first: before one, from another one on."""
        query = asked.narrow(select(ActivityRow).order_by(ActivityRow.id.desc()))
        query = query.where(ActivityRow.id >= since)
        if before is not None:
            query = query.where(ActivityRow.id < before)
        with self._reading() as session:
            return [(row.id, to_event(row)) for row in session.scalars(query.limit(limit))]

    def events_of(self, kind: str, names: Sequence[str]) -> list[Event]:
        """Return all events of a kind that happened to these, the oldest first."""
        query = Asked(kind).narrow(select(ActivityRow).order_by(ActivityRow.id))
        with self._reading() as session:
            rows = session.scalars(query.where(ActivityRow.name.in_(list(names))))
            return [to_event(row) for row in rows]

    def each_event(self, asked: Asked) -> Iterator[Event]:
        """Give all events that there are by now, the oldest first."""
        after = 0
        last = self.last_event()
        while after < last:
            query = asked.narrow(select(ActivityRow).order_by(ActivityRow.id).limit(_AT_ONCE))
            query = query.where(ActivityRow.id > after, ActivityRow.id <= last)
            with self._reading() as session:
                rows = [(row.id, to_event(row)) for row in session.scalars(query)]
            yield from (event for _, event in rows)
            after = rows[-1][0] if rows else last

    def last_states(self, event: str) -> dict[str, str]:
        """Return the state that each thing was in after its last `<kind>.state`."""
        latest = select(func.max(ActivityRow.id)).where(ActivityRow.event == event)
        query = select(ActivityRow.name, ActivityRow.document)
        query = query.where(ActivityRow.id.in_(latest.group_by(ActivityRow.name)))
        with self._reading() as session:
            return {name: str(fields.get("to")) for name, fields in session.execute(query)}

    def forget_events(self, before: datetime, most: int) -> int:
        """Remove events from before that time, and the oldest of more than `most`; say how many."""
        with self._writing() as session:
            last = session.scalar(select(func.max(ActivityRow.id))) or 0
            old = or_(ActivityRow.at < before, ActivityRow.id <= last - most)
            found = session.scalar(select(func.count()).select_from(ActivityRow).where(old)) or 0
            session.execute(delete(ActivityRow).where(old))
            return found

    # ---- for whoever tells them on the stream of events

    def untold_events(self) -> list[tuple[int, Event]]:
        """Return the first events that the stream hasn't got, with their numbers."""
        query = select(ActivityRow).where(ActivityRow.told.is_(False)).order_by(ActivityRow.id)
        with self._reading() as session:
            return [(row.id, to_event(row)) for row in session.scalars(query.limit(_AT_ONCE))]

    def note_told(self, numbers: Sequence[int]) -> None:
        """The stream has got these."""
        if numbers:
            with self._writing() as session:
                told = update(ActivityRow).where(ActivityRow.id.in_(list(numbers)))
                session.execute(told.values(told=True))


def to_event(row: ActivityRow) -> Event:
    """Return the row as a value."""
    return Event(event=row.event, name=row.name, fields=row.document, by=row.by, at=row.at)


def _to_row(event: Event) -> ActivityRow:
    return ActivityRow(
        at=event.at, event=event.event, name=event.name, by=event.by, document=dict(event.fields)
    )
