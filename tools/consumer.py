"""Consuming a stream: each message goes to a sink, and is acknowledged when the sink has it."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streams import names
from streams.broker import Delivered, EventLoop, LoopConnection
from streams.broker.properties import from_properties
from streams.errors import BrokerError, StreamsError
from streams.message import Message
from tools.link import linked

_PREFETCH = 100


class Sink(Protocol):
    """Where messages go. `on_written` is called with how many of them have arrived there."""

    on_written: Callable[[int], None]

    def write(self, message: Message) -> None:
        """Take a message; arriving may take until later."""


class Consumer:
    """Gives a stream's messages to a sink until `stop`, or until there were `count`.

    Without a subscription's name it has a queue of its own, that goes with the connection.
    `on_ready` is called each time that messages can come, `on_done` at the end, with what went
    wrong, or None.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        stream: str,
        sink: Sink,
        *,
        durable: str | None,
        count: int | None,
        on_ready: Callable[[], None],
        on_done: Callable[[StreamsError | None], None],
    ) -> None:
        self._stream, self._durable, self._count = stream, durable, count
        self._queue = self._name()
        self._sink = sink
        sink.on_written = self._note_written
        self._on_ready, self._on_done = on_ready, on_done
        self._unwritten: deque[int] = deque()
        self._stopping = self._ended = False
        self._connection: LoopConnection | None = None
        #: how many messages the sink was given, how many have arrived there
        self.taken = self.written = 0
        self._link = linked(
            loop, urls, stream, name=f"consume {stream}", on_up=self._came_up, on_failed=self._end
        )

    def open(self) -> None:
        """Begin."""
        self._link.open()

    def stop(self) -> None:
        """Take nothing more; what was taken arrives and is acknowledged, then it ends."""
        self._stopping = True
        self._end_if_written()

    def _name(self) -> str:
        if self._durable is not None:
            return names.subscription_queue(self._stream, self._durable)
        return names.consumer_queue(self._stream)

    def _came_up(self, connection: LoopConnection) -> None:
        """Make sure of the queue, bind it, consume."""
        if self._connection is not None and self._durable is None:
            self._queue = self._name()  # the broker may believe in our old connection yet
        self._connection = connection
        self._unwritten = deque([0] * len(self._unwritten))
        channel, durable = connection.channel, self._durable is not None
        quorum = {"x-queue-type": "quorum"} if durable else None

        def bind(_frame: Any) -> None:
            channel.queue_bind(self._queue, names.exchange(self._stream), callback=consume)

        def consume(_frame: Any) -> None:
            connection.consume(
                self._queue, self._delivered, prefetch=self._prefetch, on_cancelled=self._gone
            )
            self._on_ready()

        channel.queue_declare(
            self._queue,
            durable=durable,
            exclusive=not durable,
            auto_delete=not durable,
            arguments=quorum,
            callback=bind,
        )

    @property
    def _prefetch(self) -> int:
        if self._count is None:
            return _PREFETCH
        return max(1, min(_PREFETCH, self._count - self.taken))

    def _delivered(self, delivered: Delivered) -> None:
        if self._stopping or self.taken == self._count:
            return
        self.taken += 1
        self._unwritten.append(delivered.tag)
        self._sink.write(from_properties(delivered.properties, delivered.body))

    def _note_written(self, number: int) -> None:
        last = 0
        for _ in range(number):
            last = self._unwritten.popleft() or last
        self.written += number
        if last and self._connection is not None:
            self._connection.ack(last, multiple=True)
        self._stopping |= self.written == self._count
        self._end_if_written()

    def _end_if_written(self) -> None:
        if not self._stopping or self._unwritten:
            return
        if self._link.up and self._connection is not None:
            self._connection.flush(self._queue, lambda: self._end(None))
        else:
            self._end(None)

    def _gone(self) -> None:
        self._end(BrokerError(f"queue {self._queue!r} was deleted"))

    def _end(self, error: StreamsError | None) -> None:
        if not self._ended:
            self._ended = True
            self._link.close(lambda: self._on_done(error))
