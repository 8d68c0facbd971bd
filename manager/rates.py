"""Messages a second, from counters that agents report."""

from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from streams.control import Counters, OperatorReport, OperatorState

#: Rates are means over at most this long, and over at least two looks.
_WINDOW_S = 30.0
#: What one operator does is known only after so long with work for it.
_LEAST_BUSY_S = 10.0
_NOTHING = Counters()


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one operation: messages acknowledged and published a second.

    `per_operator`: acknowledged by one operator while there was enough to do; None: not known.
    """

    rate_in: float
    rate_out: float
    per_operator: float | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """Totals at one moment; `busy_s` counts each operator's seconds with messages before it."""

    at_s: float
    acknowledged: int
    published: int
    busy_acknowledged: int = 0
    busy_s: float = 0.0


class RateMeter:
    """Remembers totals for a while. Belongs to one thread."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[_Look]] = {}

    def look(
        self,
        reports: Mapping[str, Sequence[OperatorReport]],
        busy: AbstractSet[str],
        *,
        now_s: float,
    ) -> dict[str, Rates]:
        """Take the counters in and return each operation's rates; `busy` have a backlog."""
        rates: dict[str, Rates] = {}
        for operation, mine in reports.items():
            seen = self._seen.setdefault(operation, deque())
            look = _next(seen, summed(mine), _running(mine) if operation in busy else 0, now_s)
            seen.append(look)
            while len(seen) > 2 and now_s - seen[0].at_s > _WINDOW_S:  # noqa: PLR2004 - two looks
                seen.popleft()
            rates[operation] = _between(seen[0], seen[-1])
        for gone in set(self._seen) - set(reports):
            del self._seen[gone]
        return rates


def _running(reports: Sequence[OperatorReport]) -> int:
    return sum(report.state is OperatorState.RUNNING for report in reports)


def _next(seen: deque[_Look], total: Counters, at_work: int, now_s: float) -> _Look:
    """Return the look that follows, with `at_work` operators that had enough to do since."""
    if seen and total.acknowledged < seen[-1].acknowledged:
        seen.clear()  # an operator started anew: its counters begin at 0
    if not seen:
        return _Look(now_s, total.acknowledged, total.published)
    last = seen[-1]
    done = total.acknowledged - last.acknowledged
    return _Look(
        now_s,
        total.acknowledged,
        total.published,
        last.busy_acknowledged + (done if at_work else 0),
        last.busy_s + at_work * (now_s - last.at_s),
    )


def summed(reports: Sequence[OperatorReport]) -> Counters:
    """Return the counters of an operation's operators together; latencies are the worst."""
    if len(reports) <= 1:  # most operations have one operator, and each look sums all of them
        return reports[0].counters if reports else _NOTHING
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


def _between(first: _Look, last: _Look) -> Rates:
    seconds = last.at_s - first.at_s
    if seconds <= 0:
        return Rates(0.0, 0.0)
    busy_s = last.busy_s - first.busy_s
    done = last.busy_acknowledged - first.busy_acknowledged
    return Rates(
        (last.acknowledged - first.acknowledged) / seconds,
        (last.published - first.published) / seconds,
        done / busy_s if busy_s >= _LEAST_BUSY_S else None,
    )
