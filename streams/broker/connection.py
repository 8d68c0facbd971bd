"""The face that never blocks: a connection with one confirming channel, on a loop.

A lost connection is the end: `on_lost` is called once, and whoever owns the loop exits or starts
over with a new connection.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import AMQPChannelError, ChannelClosedByClient, ConnectionClosedByClient

from streams.broker import codec, patience
from streams.broker.addresses import explain, explain_channel, parameters
from streams.broker.loop import Callback, EventLoop
from streams.broker.wire import Consumer, OnConfirm, OnDelivered, Wire
from streams.errors import BrokerError, BrokerUnreachableError
from streams.settings import without_password


class LoopConnection:
    """A connection with one confirming channel on a loop.

    `on_ready` is called when the channel is open and confirms are on, `on_lost` once with the
    reason when connection or channel ended otherwise than by `close`. What is published or
    acknowledged after that, while the loop finishes its round, goes nowhere: no confirm comes.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        *,
        name: str,
        on_ready: Callback,
        on_lost: Callable[[BrokerError], None],
        vhost: str | None = None,
    ) -> None:
        self._loop = loop
        self._urls = tuple(urls)
        self._on_ready = on_ready
        self._on_lost: Callable[[BrokerError], None] | None = on_lost
        self._connection: Wire | None = None
        self._channel: Channel | None = None
        self._encoder: codec.Encoder | None = None
        self._closing = False
        self._on_closed: Callback | None = None
        self._sequence = 0
        self._blocked = False
        self._watch: patience.Watch | None = None
        #: called with (sequence number, multiple, whether the broker took it)
        self.on_confirm: OnConfirm = lambda _tag, _multiple, _taken: None
        #: called with the exchange of each message that no queue collected, before its confirm
        self.on_return: Callable[[str], None] = lambda _exchange: None
        self._on_consumer_gone: Callback = lambda: None
        #: called with True when the broker blocks publishers (an alarm), False when it ends
        self.on_blocked: Callable[[bool], None] = lambda _blocked: None
        configs = [parameters(url, name, vhost) for url in self._urls]
        Wire.create_connection(configs, self._opened, custom_ioloop=loop.io)

    @property
    def channel(self) -> Channel:
        """The open channel, pika's own: declare, consume and acknowledge on it."""
        assert self._channel is not None  # noqa: S101 - only used after on_ready
        return self._channel

    @property
    def is_open(self) -> bool:
        """Whether the channel can be used."""
        return self._channel is not None and bool(self._channel.is_open)

    def publish(
        self,
        exchange: str,
        routing_key: str,
        properties: pika.BasicProperties,
        body: bytes,
        *,
        mandatory: bool = False,
    ) -> int:
        """Publish without waiting; return the number that `on_confirm` will name."""
        channel = self._channel
        if channel is not None and channel.is_open:
            if self._encoder is None or self._connection is None:
                channel.basic_publish(exchange, routing_key, body, properties, mandatory)
            else:
                self._connection.emit(
                    self._encoder.encode(exchange, routing_key, properties, body, mandatory)
                )
        self._sequence += 1
        return self._sequence

    def publish_alike(
        self,
        exchange: str,
        routing_key: str,
        properties: codec.Outgoing,
        ids: Sequence[str],
        bodies: Sequence[bytes],
        *,
        mandatory: bool = False,
    ) -> int:
        """Publish messages that differ only in their ids and bodies; return the first's number."""
        first = self._sequence + 1
        if self._encoder is None or self._connection is None:
            for one, body in zip(ids, bodies, strict=True):
                each = codec.with_id(properties, one)
                self.publish(exchange, routing_key, each, body, mandatory=mandatory)
            return first
        if self.is_open:
            frames = self._encoder.encode_alike(
                exchange, routing_key, properties, ids, bodies, mandatory=mandatory
            )
            self._connection.emit(frames)
        self._sequence += len(bodies)
        return first

    def watch_confirms(self, oldest: Callable[[], int | None]) -> None:
        """Give the line up if what is published isn't confirmed in time.

        `oldest` returns the number of the first that isn't, any number while something refused
        waits to be sent again, or None when everything is confirmed.
        """

        def waiting() -> int | None:
            assert self._connection is not None  # noqa: S101 - the watch ends with it
            busy = self._blocked or patience.is_sending(self._connection)
            return None if busy else oldest()

        self._watch = patience.Watch(self._loop.call_later, waiting, self._give_up)

    def consume(
        self, queue: str, on_delivered: OnDelivered, *, prefetch: int, on_cancelled: Callback
    ) -> str:
        """Consume with acknowledgements; return the consumer's tag.

        `on_cancelled` is called when the broker ends it, because the queue is gone.
        """
        channel = self.channel
        self._on_consumer_gone = on_cancelled
        channel.basic_qos(prefetch_count=prefetch)
        return str(channel.basic_consume(queue, Consumer(on_delivered)))

    def cancel(self, consumer_tag: str, on_cancelled: Callback) -> None:
        """Take nothing more; `on_cancelled` is called when no further delivery can come.

        What is on its way until then is still delivered.
        """
        if self.is_open:
            self.channel.basic_cancel(consumer_tag, callback=lambda _frame: on_cancelled())

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge one delivery, or all up to it."""
        if self.is_open:
            self.channel.basic_ack(tag, multiple)

    def requeue(self, tag: int, *, multiple: bool = False) -> None:
        """Give a delivery back to its queue."""
        if self.is_open:
            self.channel.basic_nack(tag, multiple, requeue=True)

    def open_channel(self, on_open: Callable[[Channel], None]) -> None:
        """Open another channel, without confirms; nothing is called if the connection ends."""
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=on_open)

    def flush(self, queue: str, then: Callback) -> None:
        """Call `then` after `queue` has seen every acknowledgement sent so far.

        Acknowledgements on a quorum queue just before a close are lost otherwise.
        """
        if self.is_open:
            self.channel.queue_declare(queue, passive=True, callback=lambda _frame: then())

    def close(self, on_closed: Callback | None = None) -> None:
        """Close channel and connection in good order; `on_lost` isn't called any more."""
        self._end_watch()
        self._closing, self._on_closed = True, on_closed
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif on_closed is not None:
            on_closed()

    def _opened(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self._lost(explain(outcome, self._urls))
            return
        self._connection = outcome
        outcome.add_on_close_callback(self._connection_closed)
        outcome.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))  # noqa: FBT003
        outcome.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))  # noqa: FBT003
        outcome.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        self._channel = channel
        assert self._connection is not None  # noqa: S101 - it opened the channel
        self._encoder = self._connection.shortcut(channel, self._taken)
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda _frame: self._on_consumer_gone())
        channel.add_on_return_callback(lambda _c, method, _p, _b: self.on_return(method.exchange))
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._on_ready())

    def _set_blocked(self, blocked: bool) -> None:  # noqa: FBT001
        self._blocked = blocked
        self.on_blocked(blocked)

    def _taken(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001
        if taken and self._watch is not None:
            self._watch.taken += 1
        self.on_confirm(number, multiple, taken)

    def _confirmed(self, answer: Any) -> None:
        method = answer.method
        self._taken(method.delivery_tag, method.multiple, method.NAME == "Basic.Ack")

    def _channel_closed(self, _channel: Channel, reason: Exception) -> None:
        if self._closing or isinstance(reason, ChannelClosedByClient):
            return
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        explained = explain_channel(reason) if isinstance(reason, AMQPChannelError) else None
        self._lost(explained or explain(reason, self._urls))

    def _connection_closed(self, _connection: Any, reason: Exception) -> None:
        if self._closing:
            if self._on_closed is not None:
                self._on_closed()
            return
        if not isinstance(reason, ConnectionClosedByClient):
            self._lost(explain(reason, self._urls))

    def _give_up(self) -> None:
        where = ", ".join(without_password(url) for url in self._urls)
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        self._lost(BrokerUnreachableError(f"broker {where}: {patience.NO_CONFIRM}"))

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.end()

    def _lost(self, error: BrokerError) -> None:
        self._end_watch()
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(error)
