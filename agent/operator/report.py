"""What the operator tells its agent: state, counters, latencies, log lines."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from pydantic import BaseModel

from agent.operator.tail import LogLines
from agent.protocol import Log, Report
from streams.broker import EventLoop
from streams.control import Assigned, Counters, OperatorReport, OperatorState

TICK_S = 1.0
#: A first line waits for those right behind it; a flood is told of once a second.
_LOG_DELAY_S = 0.1
_LOG_PAUSE_S = 1.0
_SAMPLES_A_TICK = 200
_LATENCY_WINDOW_S = 60.0
_MAX_REASON = 1000


@dataclass(slots=True)
class Tally:
    """Counters that count; the same names as `streams.control.Counters`."""

    received: int = 0
    published: int = 0
    acknowledged: int = 0
    retried: int = 0
    dead_lettered: int = 0
    uncollected: int = 0
    restarts: int = 0
    exit_statuses: dict[str, int] = field(default_factory=dict)

    def exited(self, label: str) -> None:
        """Count how a process ended."""
        self.exit_statuses[label] = self.exit_statuses.get(label, 0) + 1


class Latencies:
    """Times from delivery to acknowledgement: a sample of the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=12_000)
        self._left = _SAMPLES_A_TICK

    def add(self, received_at: Iterable[float]) -> None:
        """Note messages that are through, until this second's sample is full."""
        now = time.monotonic()
        for each in islice(received_at, self._left):
            self._left -= 1
            self._samples.append((now, now - each))

    def quantiles(self) -> tuple[float | None, float | None]:
        """Return median and 99th percentile, and begin the next second's sample."""
        self._left = _SAMPLES_A_TICK
        oldest = time.monotonic() - _LATENCY_WINDOW_S
        while self._samples and self._samples[0][0] < oldest:
            self._samples.popleft()
        ordered = sorted(latency for _, latency in self._samples)
        if not ordered:
            return None, None
        return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


class Reporter:
    """Says each change of state at once, counters once a second when they changed."""

    def __init__(
        self,
        loop: EventLoop,
        say: Callable[[BaseModel], None],
        assigned: Assigned,
        tally: Tally,
        in_hand: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._say = say
        self._assigned = assigned
        self._tally = tally
        self._in_hand = in_hand
        self._started_at = time.time()
        self._last: OperatorReport | None = None
        self._log_said_at = 0.0
        self.latencies = Latencies()
        self.state = OperatorState.STARTING
        self.reason = ""
        self.log = LogLines(on_first=self._log_soon)
        self._timer: object = loop.call_later(TICK_S, self._tick)

    def set(self, state: OperatorState, reason: str = "") -> None:
        """Enter a state and say so, if it is another one or for another reason."""
        if (state, reason) != (self.state, self.reason) or self._last is None:
            self.state, self.reason = state, reason[:_MAX_REASON]
            self.say()

    def say(self) -> None:
        """Report now, unless nothing has changed."""
        tally = self._tally
        median, high = self.latencies.quantiles()
        counters = Counters(
            received=tally.received,
            published=tally.published,
            acknowledged=tally.acknowledged,
            retried=tally.retried,
            dead_lettered=tally.dead_lettered,
            uncollected=tally.uncollected,
            restarts=tally.restarts,
            in_hand=self._in_hand(),
            exit_statuses=dict(tally.exit_statuses),
            latency_p50_s=median,
            latency_p99_s=high,
        )
        report = OperatorReport(
            operation=self._assigned.operation,
            revision=self._assigned.revision,
            state=self.state,
            reason=self.reason,
            pid=os.getpid(),
            started_at=self._started_at,
            counters=counters,
        )
        if report != self._last:
            self._last = report
            self._say(Report(report=report))

    def stop(self) -> None:
        """Say the last things."""
        self._loop.cancel(self._timer)
        self._say_log()
        self.say()

    def _tick(self) -> None:
        self.say()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _log_soon(self) -> None:
        rest_s = self._log_said_at + _LOG_PAUSE_S - time.monotonic()
        self._loop.call_later(max(_LOG_DELAY_S, rest_s), self._say_log)

    def _say_log(self) -> None:
        lines, dropped = self.log.take()
        if lines:
            self._log_said_at = time.monotonic()
            self._say(Log(lines=lines, dropped=dropped))
