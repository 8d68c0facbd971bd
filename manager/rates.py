"""Messages a second, from counters that agents report."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.control import Counters, OperatorReport

#: Rates are means over at most this long, and over at least two looks.
_WINDOW_S = 30.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one operation: messages acknowledged and published a second."""

    rate_in: float
    rate_out: float


class RateMeter:
    """Remembers totals for a while. Belongs to one thread."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int, int]]] = {}

    def look(self, reports: Mapping[str, Sequence[OperatorReport]]) -> dict[str, Rates]:
        """Take the counters in and return each operation's rates."""
        now_s = time.monotonic()
        rates: dict[str, Rates] = {}
        for operation, mine in reports.items():
            total = summed(mine)
            seen = self._seen.setdefault(operation, deque())
            if seen and total.acknowledged < seen[-1][1]:
                seen.clear()  # an operator started anew: its counters begin at 0
            seen.append((now_s, total.acknowledged, total.published))
            while len(seen) > 2 and now_s - seen[0][0] > _WINDOW_S:  # noqa: PLR2004 - two looks
                seen.popleft()
            rates[operation] = _between(seen[0], seen[-1])
        for gone in set(self._seen) - set(reports):
            del self._seen[gone]
        return rates


def summed(reports: Sequence[OperatorReport]) -> Counters:
    """Return the counters of an operation's operators together; latencies are the worst."""
    counters = [report.counters for report in reports]
    statuses: dict[str, int] = {}
    for each in counters:
        for status, count in each.exit_statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    totals = {
        name: sum(getattr(each, name) for each in counters)
        for name, field in Counters.model_fields.items()
        if field.annotation is int
    }
    worst = {
        name: max((v for each in counters if (v := getattr(each, name)) is not None), default=None)
        for name in ("latency_p50_s", "latency_p99_s")
    }
    return Counters(**totals, **worst, exit_statuses=statuses)


def _between(first: tuple[float, int, int], last: tuple[float, int, int]) -> Rates:
    seconds = last[0] - first[0]
    if seconds <= 0:
        return Rates(0.0, 0.0)
    return Rates((last[1] - first[1]) / seconds, (last[2] - first[2]) / seconds)
