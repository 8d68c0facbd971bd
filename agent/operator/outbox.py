"""What leaves: published without waiting, confirmed later, and never too much at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from agent.operator.batch import Batch, OnTaken
from agent.operator.report import Tally
from streams import names
from streams.backoff import backoff_s
from streams.broker import EventLoop, LoopConnection
from streams.broker.codec import Outgoing, with_id
from streams.message import PUBLISHED_US, MessageIds, now_us

#: Beyond either, programs wait until the broker has confirmed some.
_FULL_BYTES = 16 * 1024 * 1024
_FULL_MESSAGES = 10_000
#: What a full queue refuses is sent again after so long.
_REFUSED_PAUSE_S = 2.0

#: Outputs that may wait a moment leave together: the broker and we wake up less often.
_GATHER_S = 0.002

Then = Callable[[], None]


@dataclass(slots=True, eq=False)
class _Sent:
    """Messages under successive numbers; `properties` are those of the first."""

    exchange: str
    key: str
    properties: Outgoing
    ids: Sequence[str]
    bodies: Sequence[bytes]
    on_taken: OnTaken
    first: int = 0


class Outbox:
    """Publishes onto the output stream, and dead letters; who sent them hears of each confirm."""

    def __init__(
        self, loop: EventLoop, connection: LoopConnection, *, operation: str, stream: str
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._operation = operation
        self._exchange = names.exchange(stream)
        self._ids = MessageIds()
        self._pending: dict[int, _Sent] = {}
        self._pending_bytes = 0
        self._gathered: list[_Sent] = []
        self._refused = 0
        self._blocked = False
        self._was_full = False
        self.tally = Tally()
        #: called when it was full and isn't any more
        self.on_room: Then = lambda: None
        #: called when the last one outstanding is confirmed
        self.on_empty: Then = lambda: None
        #: called with the reason when a dead letter can't be kept anywhere
        self.on_homeless: Callable[[str], None] = lambda _reason: None
        connection.on_confirm = self._confirmed
        connection.on_return = self._returned
        connection.on_blocked = self._set_blocked
        connection.watch_confirms(self._oldest)

    @property
    def full(self) -> bool:
        """Whether programs should wait."""
        full = (
            self._blocked
            or self._pending_bytes > _FULL_BYTES
            or len(self._pending) > _FULL_MESSAGES
        )
        self._was_full |= full
        return full

    @property
    def empty(self) -> bool:
        """Whether everything is confirmed."""
        return not self._pending and not self._refused and not self._gathered

    def publish(self, batch: Batch, *, gather: bool = False) -> None:
        """Publish outputs; each gets an id where it has none, and the time.

        With `gather` others may join them within 2 ms.
        """
        us = now_us()
        stamped = {**(batch.headers or {}), PUBLISHED_US: us}
        if batch.ids:
            ids = [each or self._ids.next() for each in batch.ids]
        else:
            ids = self._ids.several(len(batch.bodies))
        properties = Outgoing(
            batch.content_type, stamped, ids[0], batch.correlation_id, us // 1_000_000
        )
        self.tally.published += len(ids)
        sent = _Sent(self._exchange, "", properties, ids, batch.bodies, batch.on_taken)
        if not gather and not self._gathered:
            self._send(sent)
            return
        self._gathered.append(sent)
        if len(self._gathered) == 1:
            self._loop.call_later(_GATHER_S, self._send_gathered)

    def bury(self, properties: Outgoing, body: bytes, then: Then) -> None:
        """Publish a dead letter; `then` is called at its confirm."""
        self.tally.dead_lettered += 1
        ids = [properties.message_id or ""]
        key, on_taken = self._operation, lambda _places: then()
        self._send(_Sent(names.DEAD_EXCHANGE, key, properties, ids, [body], on_taken))

    def _send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        if self._connection.is_open:
            for sent in gathered:
                self._send(sent)

    def _send(self, sent: _Sent) -> None:
        head, bodies = (sent.exchange, sent.key, sent.properties), sent.bodies
        if len(bodies) == 1:
            first = self._connection.publish(*head, bodies[0], mandatory=True)
        else:
            first = self._connection.publish_alike(*head, sent.ids, bodies, mandatory=True)
        sent.first = first
        self._pending.update(dict.fromkeys(range(first, first + len(bodies)), sent))
        self._pending_bytes += sum(map(len, bodies))

    def _oldest(self) -> int | None:
        return next(iter(self._pending), 0 if self._refused else None)

    def _confirmed(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001
        pending = self._pending
        if multiple:
            due = list(takewhile(number.__ge__, pending))
        else:
            due = [number] if number in pending else []
        for sent, numbers in groupby(due, pending.pop):
            places = [each - sent.first for each in numbers]
            self._pending_bytes -= sum(len(sent.bodies[place]) for place in places)
            if taken:
                sent.on_taken(places)
            else:
                for place in places:
                    self._refuse(sent, place)
        self._notify()

    def _refuse(self, sent: _Sent, place: int) -> None:
        """Send once more, later, what a queue (full, say) didn't take."""
        self._refused += 1

        def again() -> None:
            self._refused -= 1
            if self._connection.is_open:
                self._send(alone)

        alone = _alone(sent, place)
        self._loop.call_later(backoff_s(1, first_s=_REFUSED_PAUSE_S), again)

    def _notify(self) -> None:
        if self._was_full and not self.full:
            self._was_full = False
            self.on_room()
        if self.empty:
            self.on_empty()

    def _returned(self, exchange: str) -> None:
        if exchange == names.DEAD_EXCHANGE:
            queue = names.dead_queue(self._operation)
            self.on_homeless(f"queue {queue!r} doesn't take dead letters: is it there, and bound?")
        else:
            self.tally.uncollected += 1

    def _set_blocked(self, blocked: bool) -> None:  # noqa: FBT001
        self._blocked = blocked
        _ = self.full
        self._notify()


def _alone(sent: _Sent, place: int) -> _Sent:
    """Return one message of several."""
    if len(sent.bodies) == 1:
        return sent
    one = sent.ids[place]
    properties = with_id(sent.properties, one)
    on_taken: OnTaken = lambda _places: sent.on_taken([place])  # noqa: E731
    return _Sent(sent.exchange, sent.key, properties, [one], [sent.bodies[place]], on_taken)
