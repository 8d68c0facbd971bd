"""Consuming a stream: each message goes into line, and is acknowledged when it has arrived."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from streams import names
from streams.broker import Delivered, EventLoop, LoopConnection
from streams.broker.properties import from_properties
from streams.errors import BrokerError, StreamsError
from tools import console
from tools.counts import count as counted
from tools.line import Line
from tools.link import linked

_PREFETCH = 100
#: Messages whose objects are lost stay unacknowledged: with more the broker would send no others.
_MOST_LOST = _PREFETCH // 2


class Consumer:
    """Puts a stream's messages into line until `stop`, or until there were `count`.

    Without a subscription's name it has a queue of its own, that goes with the connection.
    `on_ready` is called each time that messages can come, `on_done` at the end, with what went
    wrong, or None.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        stream: str,
        line: Line,
        *,
        durable: str | None,
        count: int | None,
        on_ready: Callable[[], None],
        on_done: Callable[[StreamsError | None], None],
    ) -> None:
        self._stream, self._durable, self._count = stream, durable, count
        self._queue = self._name()
        self._line = line
        line.on_written, line.on_lost = self._note_written, self._note_lost
        line.on_failed = self._end
        self._on_ready, self._on_done = on_ready, on_done
        self._unwritten: deque[int] = deque()
        self._stopping = self._ended = False
        self._connection: LoopConnection | None = None
        #: how many messages were taken, how many have arrived, how many never will
        self.taken = self.written = self.lost = 0
        self._link = linked(
            loop, urls, stream, name=f"consume {stream}", on_up=self._came_up, on_failed=self._end
        )

    def open(self) -> None:
        """Begin."""
        self._link.open()

    def stop(self) -> None:
        """Take nothing more; what is being written arrives and is acknowledged, then it ends."""
        if not self._stopping:
            self._stopping = True
            for _ in range(self._line.stop()):
                self._unwritten.pop()
                self.taken -= 1
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
        self._line.write(from_properties(delivered.properties, delivered.body))

    def _note_written(self, number: int) -> None:
        tags = [tag for _ in range(number) if (tag := self._unwritten.popleft())]
        self.written += number
        if self._connection is not None and tags:
            if self.lost:  # those before aren't all acknowledged
                for tag in tags:
                    self._connection.ack(tag)
            else:
                self._connection.ack(tags[-1], multiple=True)
        self._end_if_enough()

    def _note_lost(self, error: StreamsError) -> None:
        """The oldest message names an object that can't be had: it isn't acknowledged."""
        self._unwritten.popleft()
        self.lost += 1
        console.say(str(error))
        self._end_if_enough()

    def _end_if_enough(self) -> None:
        if self.lost >= _MOST_LOST:
            self.stop()
        self._stopping |= self.written + self.lost == self._count
        self._end_if_written()

    def _end_if_written(self) -> None:
        if not self._stopping or self._unwritten:
            return
        error = None
        if self.lost:
            error = StreamsError(f"{counted(self.lost, 'object')} couldn't be fetched")
        if self._link.up and self._connection is not None:
            self._connection.flush(self._queue, lambda: self._end(error))
        else:
            self._end(error)

    def _gone(self) -> None:
        self._end(BrokerError(f"queue {self._queue!r} was deleted"))

    def _end(self, error: StreamsError | None) -> None:
        if not self._ended:
            self._ended = True
            self._link.close(lambda: self._on_done(error))
