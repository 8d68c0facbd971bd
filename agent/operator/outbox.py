"""What leaves: published without waiting, confirmed later, and never too much at once."""

from collections.abc import Callable
from typing import Any

from agent.operator.report import Tally
from streams import names
from streams.backoff import backoff_s
from streams.broker import EventLoop, LoopConnection
from streams.broker.codec import Outgoing
from streams.message import PUBLISHED_US, MessageIds, now_us

#: Beyond either, programs wait until the broker has confirmed some.
_FULL_BYTES = 16 * 1024 * 1024
_FULL_MESSAGES = 10_000
#: What a full queue refuses is sent again after so long.
_REFUSED_PAUSE_S = 2.0

#: Outputs that may wait a moment leave together: the broker and we wake up less often.
_GATHER_S = 0.002

Then = Callable[[], None]
_Sent = tuple[Then, str, str, Any, bytes]


class Outbox:
    """Publishes onto the output stream, and dead letters; `then` is called at each confirm."""

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

    def publish(
        self,
        body: bytes,
        then: Then,
        *,
        content_type: str | None,
        headers: dict[Any, Any] | None = None,
        message_id: str | None = None,
        correlation_id: str | None = None,
        gather: bool = False,
    ) -> None:
        """Publish an output; it gets an id where it has none, and the time.

        With `gather` others may join it within 2 ms.
        """
        us = now_us()
        stamped = {PUBLISHED_US: us} if headers is None else {**headers, PUBLISHED_US: us}
        properties = Outgoing(
            content_type, stamped, message_id or self._ids.next(), correlation_id, us // 1_000_000
        )
        self.tally.published += 1
        sent = (then, self._exchange, "", properties, body)
        if not gather and not self._gathered:
            self._send(*sent)
            return
        self._gathered.append(sent)
        if len(self._gathered) == 1:
            self._loop.call_later(_GATHER_S, self._send_gathered)

    def bury(self, properties: Any, body: bytes, then: Then) -> None:
        """Publish a dead letter."""
        self.tally.dead_lettered += 1
        self._send(then, names.DEAD_EXCHANGE, self._operation, properties, body)

    def _send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        if self._connection.is_open:
            for sent in gathered:
                self._send(*sent)

    def _send(self, then: Then, exchange: str, key: str, properties: Any, body: bytes) -> None:
        number = self._connection.publish(exchange, key, properties, body, mandatory=True)
        self._pending[number] = (then, exchange, key, properties, body)
        self._pending_bytes += len(body)

    def _oldest(self) -> int | None:
        return next(iter(self._pending), 0 if self._refused else None)

    def _confirmed(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001
        pending = self._pending
        if multiple:
            due = []
            for first in pending:
                if first > number:
                    break
                due.append(first)
        else:
            due = [number] if number in pending else []
        for one in due:
            sent = pending.pop(one)
            self._pending_bytes -= len(sent[4])
            if taken:
                sent[0]()
            else:
                self._refuse(sent)
        self._notify()

    def _refuse(self, sent: _Sent) -> None:
        """Send once more, later, what a queue (full, say) didn't take."""
        self._refused += 1
        then, exchange, key, properties, body = sent

        def again() -> None:
            self._refused -= 1
            if self._connection.is_open:
                self._send(then, exchange, key, properties, body)

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
