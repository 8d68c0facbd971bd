"""How long the manager thinks about a thousand machines, on a clock and a cloud of their own.

A round is what the manager plans at every look: demand, placement, machines, verdicts. Counted is
the time that it takes of a core, so that what else runs on the computer matters less.
"""

import statistics
from collections.abc import Iterator
from functools import lru_cache

from bench.path import Turn
from bench.planner import planner
from bench.scenario import Goal, Scenario, value
from tests.manager.machines.day import Day
from tests.manager.machines.test_day import WHOLE
from tests.rabbit import BrokerNode

LIMIT = "target: 100 ms"
MEDIAN, P99 = "a round, median", "a round, 99th percentile"
_ROUNDS = 200
#: Of the day, when most are there; and looks until the first of them have their machines.
_NOON, _UNTIL_NOON = 0.5, 120


def fleet(_node: BrokerNode) -> Iterator[Turn]:
    """Rounds at noon, while people come and go, machines die, and managers take over."""
    yield Turn(LIMIT, 100.0, unit="ms")
    day = _day()
    with planner() as planning:
        day.world.planner = planning.plan
        for _ in range(_ROUNDS):
            day.live(_NOON)
    took_ms = [seconds * 1000 for seconds in planning.took_s]
    yield Turn(MEDIAN, statistics.median(took_ms), unit="ms")
    yield Turn(P99, statistics.quantiles(took_ms, n=100)[-1], unit="ms")
    yield Turn("a round, the longest", max(took_ms), unit="ms")


@lru_cache(maxsize=1)
def _day() -> Day:
    day = Day(WHOLE, seed=4)
    for _ in range(_UNTIL_NOON):
        day.live(_NOON)
    return day


SCENARIO = Scenario(
    "fleet",
    "How long does a manager plan for 1,000 machines and 1,000 operations? (less is better)",
    LIMIT,
    fleet,
    goals=(
        Goal("the median: 100 ms of a core", value(MEDIAN), at_most=100),
        Goal("the 99th percentile", value(P99), at_most=100),
    ),
    rounds=1,
)
