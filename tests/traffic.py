"""Numbered messages in, and what comes out counted: both ends outlive the broker's restarts."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pika

from streams import names
from streams.broker import BrokerThread, Channel, EventLoop, LoopConnection
from streams.broker.properties import to_properties
from streams.errors import BrokerError
from streams.message import Message

_QUORUM = {"x-queue-type": "quorum"}
_UNCONFIRMED = 500
_PREFETCH = 500
_PUMP_S = 0.005
_AGAIN_S = 0.1


def body(number: int, prefix: str = "") -> bytes:
    """Return the body of the message with that number."""
    return b"%sN%d" % (prefix.encode(), number)


@dataclass(frozen=True, slots=True)
class Came:
    """A message as it came, and when by the monotonic clock."""

    message_id: str
    body: bytes
    at_s: float


class Publisher:
    """Publishes the messages 0 ... `allowed` - 1, and again each that wasn't confirmed."""

    def __init__(self, urls: Sequence[str], stream: str, prefix: str = "") -> None:
        """`prefix` begins the bodies and ids."""
        self._urls, self._exchange = tuple(urls), names.exchange(stream)
        self._prefix = prefix
        #: when each was published first, and when it was confirmed; by the monotonic clock
        self.published_s: dict[int, float] = {}
        self.confirmed_s: dict[int, float] = {}
        #: raised by the test whenever it wants more
        self.allowed = 0
        self._next = 0
        self._again: list[int] = []
        self._unconfirmed: dict[int, int] = {}
        #: how many nobody collected: there should be none
        self.returned = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)

    @property
    def done(self) -> bool:
        """Whether all that may be published is, and confirmed."""
        return self._next == self.allowed and not self._again and not self._unconfirmed

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._loop = EventLoop()
            self._connection = LoopConnection(
                self._loop, self._urls, name="publisher", on_ready=self._begin, on_lost=self._lost
            )
            self._connection.on_confirm = self._confirmed
            self._connection.on_return = self._count_returned
            self._loop.run_until(self._stopping.is_set)
            self._connection.close()
            self._loop.close()

    def _lost(self, _error: BrokerError) -> None:
        self._again = [*self._unconfirmed.values(), *self._again]
        self._unconfirmed.clear()
        self._stopping.wait(_AGAIN_S)
        self._loop.stop()

    def _begin(self) -> None:
        self._connection.watch_confirms(
            lambda: next(iter(self._unconfirmed), 0 if self._again else None)
        )
        self._pump()

    def _pump(self) -> None:
        if not self._connection.is_open:
            return  # the last timer of a loop that has lost its connection
        while len(self._unconfirmed) < _UNCONFIRMED and (number := self._take()) is not None:
            self.published_s.setdefault(number, time.monotonic())
            message = Message(
                body(number, self._prefix),
                message_id=f"{self._prefix}id-{number}",
                content_type="text/plain",
            )
            sequence = self._connection.publish(
                self._exchange, "", to_properties(message), message.body, mandatory=True
            )
            self._unconfirmed[sequence] = number
        self._loop.call_later(_PUMP_S, self._pump)

    def _take(self) -> int | None:
        if self._again:
            return self._again.pop(0)
        if self._next == self.allowed:
            return None
        self._next += 1
        return self._next - 1

    def _confirmed(self, sequence: int, multiple: bool, taken: bool) -> None:
        sequences = [s for s in self._unconfirmed if s <= sequence] if multiple else [sequence]
        numbers = [self._unconfirmed.pop(s) for s in sequences]
        if taken:
            now_s = time.monotonic()
            self.confirmed_s |= dict.fromkeys(numbers, now_s)
        else:
            self._again += numbers

    def _count_returned(self, _exchange: str) -> None:
        self.returned += 1


class Collector:
    """Any client's durable queue on a stream, with a consumer: demand, and what came so far."""

    def __init__(self, urls: Sequence[str], stream: str, queue: str) -> None:
        self._stream, self._queue = stream, queue
        self.bodies = Counter[bytes]()
        #: the same, in the order in which they came
        self.came: list[Came] = []
        #: what the broker gave to us twice: our acknowledgement was lost with it, nobody's fault
        self.redelivered = 0
        self._thread = BrokerThread(urls, name=f"collector {queue}", on_channel=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    @property
    def different(self) -> int:
        """How many different messages came."""
        return len(self.bodies)

    @property
    def repeats(self) -> int:
        """How many came that had come before."""
        return self.bodies.total() - self.different

    def _listen(self, channel: Channel) -> None:
        channel.queue_declare(self._queue, durable=True, arguments=_QUORUM)
        channel.queue_bind(self._queue, names.exchange(self._stream))
        channel.basic_qos(prefetch_count=_PREFETCH)
        channel.basic_consume(self._queue, self._heard)

    def _heard(self, channel: Channel, method: Any, properties: Any, came: bytes) -> None:
        if method.redelivered and came in self.bodies:
            self.redelivered += 1
        else:
            self.bodies[came] += 1
            self.came.append(Came(properties.message_id, came, time.monotonic()))
        channel.basic_ack(method.delivery_tag)


class PlainConsumer:
    """A stranger: stock pika, and a queue of its own that goes with it."""

    def __init__(self, url: str, stream: str) -> None:
        self._came: list[bytes] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = self._connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, f"streams.{stream}")
        channel.basic_consume(queue, self._heard, auto_ack=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def bodies(self) -> list[bytes]:
        """Return all that came so far."""
        self._connection.process_data_events(time_limit=0)
        return self._came

    def _heard(self, _channel: Channel, _method: Any, _properties: Any, came: bytes) -> None:
        self._came.append(came)
