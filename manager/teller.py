"""Keeps what happened, and tells it on the stream `streamboss.events`: each event at least once."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from manager.board import Clock
from manager.events import Event

#: For how long, and how much of it at most, is kept; how often what is older is looked for.
KEPT = timedelta(days=400)
MOST_KEPT = 1_000_000
_FORGET_S = 3600.0
#: Events that wait for the store; older ones are dropped.
_MOST_UNKEPT = 10_000


class TellerStore(Protocol):
    """Where events are kept."""

    def note_events(self, events: Sequence[Event]) -> None:
        """Keep what happened."""

    def last_states(self, event: str) -> Mapping[str, str]:
        """Return the state that each thing was in after its last event of this name."""

    def untold_events(self) -> list[tuple[int, Event]]:
        """Return some events that the stream hasn't got."""

    def note_told(self, numbers: Sequence[int]) -> None:
        """Mark what it has got."""

    def forget_events(self, before: datetime, most: int) -> int:
        """Remove what is too old, or too much."""


class Publisher(Protocol):
    """What gets them onto the stream."""

    def publish_event(self, event: Event) -> None:
        """Publish one."""


class Teller:
    """Belongs to one thread, that of the manager who leads."""

    def __init__(self, store: TellerStore, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher
        self._unkept: deque[Event] = deque(maxlen=_MOST_UNKEPT)
        self._forget_clock = Clock()

    def tell(self, happened: Iterable[Event]) -> None:
        """Keep these, and publish whatever wasn't yet, what persons did included.

        Raises:
            StreamsError: store or broker don't take it; they get it with the next call.
        """
        self._unkept.extend(self._news(happened))
        self._store.note_events(list(self._unkept))
        self._unkept.clear()
        if self._forget_clock.due(_FORGET_S):
            self._store.forget_events(datetime.now(UTC) - KEPT, MOST_KEPT)
        while self._publish_some():
            pass

    def _news(self, happened: Iterable[Event]) -> Iterator[Event]:
        """Give what is new: who leads from now on sees each thing for the first time."""
        known: dict[str, Mapping[str, str]] = {}
        for event in happened:
            if event.fields.get("from", "") is not None:
                yield event
                continue
            if event.event not in known:
                known[event.event] = self._store.last_states(event.event)
            before = known[event.event].get(event.name)
            if before != event.fields.get("to"):
                yield replace(event, fields={**event.fields, "from": before})

    def _publish_some(self) -> bool:
        told: list[int] = []
        try:
            for number, event in self._store.untold_events():
                self._publisher.publish_event(event)
                told.append(number)
        finally:
            self._store.note_told(told)
        return bool(told)
