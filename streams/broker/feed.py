"""A queue that is consumed on a channel of its own, beside others on one connection."""

from collections.abc import Callable

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from streams.broker.addresses import explain_channel
from streams.broker.arrivals import Delivered
from streams.broker.connection import LoopConnection
from streams.broker.wire import Consumer, OnDelivered
from streams.errors import BrokerError, QueueMissingError


class Feed:
    """Consumes a queue; acknowledging up to a delivery concerns this queue alone.

    `on_fed` is called with each delivery; `on_ended` once with the reason, if the feed ends
    otherwise than by `close` or with its connection. What wasn't acknowledged by then goes back to
    the queue, in its order.
    """

    def __init__(
        self,
        connection: LoopConnection,
        queue: str,
        *,
        prefetch: int,
        on_fed: OnDelivered,
        on_ended: Callable[[BrokerError], None],
    ) -> None:
        self._queue, self._prefetch = queue, prefetch
        self._on_fed, self._on_ended = on_fed, on_ended
        self._channel: Channel | None = None
        self._closed = False
        connection.open_channel(self._opened)

    def ack(self, tag: int) -> None:
        """Acknowledge all deliveries up to `tag`."""
        if channel := self._usable():
            channel.basic_ack(tag, multiple=True)

    def flush(self, then: Callable[[], None]) -> None:
        """Call `then` after the queue has seen every acknowledgement sent so far."""
        if channel := self._usable():
            channel.queue_declare(
                self._queue, passive=True, callback=lambda _frame: self._flushed(then)
            )

    def close(self) -> None:
        """Take nothing more, at once: what comes until the broker has heard of it is ignored."""
        self._closed = True
        if channel := self._usable():
            channel.close()

    def _usable(self) -> Channel | None:
        """Return the channel, unless it was lost; a lost connection doesn't tell its channels."""
        channel = self._channel
        return channel if channel and channel.is_open and channel.connection.is_open else None

    def _opened(self, channel: Channel) -> None:
        if self._closed:
            channel.close()
            return
        self._channel = channel
        channel.add_on_close_callback(self._ended)
        channel.add_on_cancel_callback(lambda _frame: self._cancelled())
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.basic_consume(self._queue, Consumer(self._fed))

    def _fed(self, delivered: Delivered) -> None:
        if not self._closed:
            self._on_fed(delivered)

    def _flushed(self, then: Callable[[], None]) -> None:
        if not self._closed:
            then()

    def _cancelled(self) -> None:
        """The broker ended it: the queue is gone."""
        self._end(QueueMissingError(f"queue {self._queue!r} was deleted"))

    def _ended(self, _channel: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByBroker):
            self._end(explain_channel(reason))

    def _end(self, error: BrokerError) -> None:
        if not self._closed:
            self.close()
            self._on_ended(error)
