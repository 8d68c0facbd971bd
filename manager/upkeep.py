"""Reads from the broker what no event tells, and makes anew what is missing there."""

import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from manager.board import Clock
from manager.broker import Kept, Kind, ManagerBroker
from manager.notes import Notes
from manager.watch import BrokerWatch
from streams import names
from streams.errors import BrokerError

#: How often everything is read anew where the event exchange works, and where it doesn't.
_REFRESH_S, _BLIND_REFRESH_S = 30.0, 2.0
#: How often it is made sure that the broker has everything; and where no event tells of a loss.
_ENSURE_S, _BLIND_ENSURE_S = 60.0, 10.0
#: What is missing for so long is made anew.
GONE_S = 1.5
#: How often the depths of queues are read while something is wanted.
_DEPTHS_S = 5.0


class Upkeep:
    """Belongs to one thread, but for `depths` and `notes`, which any may read."""

    def __init__(self, broker: ManagerBroker, watch: BrokerWatch) -> None:
        self._broker, self._watch = broker, watch
        self.notes = Notes(broker)
        self.depths: Mapping[str, int] = {}
        self._depths_clock, self._refresh_clock, self._ensure_clock = Clock(), Clock(), Clock()
        self._ensured = False
        #: since when each thing is missing, by the monotonic clock
        self._missed: dict[Kept, float] = {}
        self._was_away = True

    def refresh(self) -> None:
        """Read what is due.

        Raises:
            BrokerError: the management API doesn't answer; what was read stays.
        """
        every_s = self._refresh_s()
        if not self._watch.seeded or self._refresh_clock.due(every_s):
            self._watch.refresh()
        if self._watch.loss.is_set() or self._ensure_clock.due(self._ensure_s()):
            self._watch.loss.clear()
            self._ensured = False
        self.notes.look(every_s)

    def read_depths(self, *, is_active: bool) -> Mapping[str, int]:
        """Return how many messages each queue has, as it was a few seconds ago."""
        if self._depths_clock.due(_DEPTHS_S if is_active else _REFRESH_S):
            self.depths = self._broker.queue_depths()
        return self.depths

    @property
    def is_missing(self) -> bool:
        """Whether something is missed, and is soon to be made."""
        return bool(self._missed)

    def ensure(self, kept: Callable[[], Iterable[Kept]], *, leads: bool) -> None:
        """Make what the broker lacks, after each time it was away and now and then.

        What is missing for the first time may just be being deleted, by whoever then forgets it.
        And a queue that is made anew at once keeps its old consumers, whom RabbitMQ gives nothing.

        Raises:
            BrokerError: it is away.
        """
        if not self._broker.connected:
            self._ensured, self._was_away = False, True
            raise BrokerError("the broker is not connected")
        if not leads or self._ensured:
            return
        self._broker.ensure_control()
        now_s = time.monotonic()
        missing = self._missing(set(kept()))
        self._missed = {each: self._missed.get(each, now_s) for each in missing}
        lost = {e for e, since_s in self._missed.items() if now_s - since_s >= GONE_S}
        self._make(missing if self._was_away else lost)
        self._was_away, self._ensured = False, not self._missed

    def _missing(self, kept: AbstractSet[Kept]) -> set[Kept]:
        """Return what isn't there, archives that don't collect included."""
        missing = self._broker.missing(kept)
        bound = {(each.source, each.destination) for each in self._watch.view().bindings}
        return missing | {
            each
            for each in kept
            if each.kind is Kind.ARCHIVE
            and (names.exchange(each.name), names.archive_queue(each.name)) not in bound
        }

    def _make(self, lost: AbstractSet[Kept]) -> None:
        if lost:
            self._broker.make(lost)
            self._watch.refresh()  # what was deleted took its bindings along
        self._missed = {e: since_s for e, since_s in self._missed.items() if e not in lost}

    def doubt(self) -> None:
        """Make sure anew: something that ought to be there may be gone."""
        self._ensured = False

    def _refresh_s(self) -> float:
        return _REFRESH_S if self._watch.live and self._watch.whole else _BLIND_REFRESH_S

    def _ensure_s(self) -> float:
        return _ENSURE_S if self._watch.live else _BLIND_ENSURE_S
