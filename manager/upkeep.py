"""Reads from the broker what no event tells, and makes anew what is missing there."""

import time
from collections.abc import Callable, Iterable, Mapping

from manager.board import Clock
from manager.broker import ManagerBroker
from manager.notes import Notes
from manager.watch import BrokerWatch
from streams.errors import BrokerError

#: How often everything is read anew where the event exchange works, and where it doesn't.
REFRESH_S, BLIND_REFRESH_S = 30.0, 2.0
#: How often it is made sure that the broker has everything; and where no event tells of a loss.
_ENSURE_S, _BLIND_ENSURE_S = 60.0, 10.0
#: A queue that is made anew sooner keeps its old consumers, and RabbitMQ gives them nothing.
_GONE_S = 1.5
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
        if self._depths_clock.due(_DEPTHS_S if is_active else REFRESH_S):
            self.depths = self._broker.queue_depths()
        return self.depths

    def ensure(
        self,
        streams: Callable[[], Iterable[str]],
        operations: Iterable[str],
        archives: Iterable[str],
        *,
        leads: bool,
    ) -> None:
        """Declare what the broker lacks, after each time it was away and now and then.

        Raises:
            BrokerError: it is away.
        """
        if not self._broker.connected:
            self._ensured = False
            raise BrokerError("the broker is not connected")
        gone_s = time.monotonic() - self._watch.deleted_s
        if leads and not self._ensured and gone_s >= _GONE_S:
            if self._broker.ensure(streams(), operations, archives):
                self._watch.refresh()  # what was deleted took its bindings along
            self._ensured = True

    def doubt(self) -> None:
        """Make sure anew: something that ought to be there may be gone."""
        self._ensured = False

    def _refresh_s(self) -> float:
        return REFRESH_S if self._watch.live and self._watch.whole else BLIND_REFRESH_S

    def _ensure_s(self) -> float:
        return _ENSURE_S if self._watch.live else _BLIND_ENSURE_S
