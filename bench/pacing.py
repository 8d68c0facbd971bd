"""Messages sent at a pace, and how long each is under way until it comes out of an operation."""

import time
from collections.abc import Sequence

from bench.path import BODY_BYTES, INPUT, SINK
from streams.broker import Delivered, EventLoop, LoopConnection
from streams.broker.codec import Outgoing
from streams.errors import BrokerError
from streams.message import MessageIds

#: So many may be under way when no pace is given.
WINDOW = 2000
_QUEUE = f"operations.{SINK}"
_TICK_S = 0.001
_DRAIN_S = 30.0


class Pacing:
    """Sends for so many seconds at `rate` a second, or as fast as they come back.

    `latencies_ms` are those that came, in their order; each is the time from sending to arrival.
    """

    def __init__(self, urls: Sequence[str], seconds: float, rate: float | None = None) -> None:
        self._seconds, self._rate = seconds, rate
        self._loop, self._ids = EventLoop(), MessageIds()
        self._sent = 0
        self._started_s = self._ended_s = 0.0
        self._is_ending = False
        self.latencies_ms: list[float] = []
        self._link = LoopConnection(
            self._loop, urls, name="bench", on_ready=self._begin, on_lost=self._lost
        )
        self._loop.call_later(seconds + _DRAIN_S, self._loop.stop)
        self._loop.run()
        self._loop.close()
        if len(self.latencies_ms) != self._sent:
            raise RuntimeError(f"{len(self.latencies_ms)} of {self._sent} messages came out")

    @property
    def per_second(self) -> float:
        """How many came out."""
        return len(self.latencies_ms) / (self._ended_s - self._started_s)

    def _begin(self) -> None:
        self._link.consume(_QUEUE, self._came, prefetch=WINDOW, on_cancelled=self._loop.stop)
        self._started_s = time.monotonic()
        self._tick()

    def _tick(self) -> None:
        passed_s = time.monotonic() - self._started_s
        if passed_s >= self._seconds:
            self._end_if_all_came()
            return
        under_way = self._sent - len(self.latencies_ms)
        due = WINDOW - under_way if self._rate is None else int(passed_s * self._rate) - self._sent
        for _ in range(due):
            self._sent += 1
            body = b"%d " % time.monotonic_ns()
            properties = Outgoing("text/plain", None, self._ids.next(), None, None)
            self._link.publish(f"streams.{INPUT}", "", properties, body.ljust(BODY_BYTES, b"x"))
        self._loop.call_later(_TICK_S, self._tick)

    def _came(self, delivered: Delivered) -> None:
        sent_ns = int(delivered.body.split(b" ", 1)[0])
        self.latencies_ms.append((time.monotonic_ns() - sent_ns) / 1e6)
        if len(self.latencies_ms) % (WINDOW // 10) == 0 or len(self.latencies_ms) == self._sent:
            self._link.ack(delivered.tag, multiple=True)
        self._ended_s = time.monotonic()
        if self._ended_s - self._started_s >= self._seconds:
            self._end_if_all_came()

    def _end_if_all_came(self) -> None:
        if len(self.latencies_ms) == self._sent and not self._is_ending:
            self._is_ending = True
            # else the last ones come again to the next who consumes
            self._link.flush(_QUEUE, lambda: self._link.close(self._loop.stop))

    def _lost(self, error: BrokerError) -> None:
        raise error
