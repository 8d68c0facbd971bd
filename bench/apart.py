"""How fast a single operation starts programs when it shares no core with the broker.

Measured: `tr a-z A-Z` for each message, by an operator that has one core, with what it starts, and
so one program at a time; the broker has another core, with what measures. Limit: C that starts `tr`
as often, one at a time, on the operator's core (peers/spawn.c).
"""

import os
from collections.abc import Iterator

from bench import contenders, single
from bench.path import Turn, turn
from bench.pinning import on_core, pinned, two_cores
from bench.scenario import Goal, Scenario, ratio
from tests.rabbit import BrokerNode

LIMIT = "limit: C starts `tr` on one core"
OURS = "`tr a-z A-Z` on one core, broker on another"
_COUNT = 2000


def apart(node: BrokerNode) -> Iterator[Turn]:
    """Ours between turns of the limit."""
    brokers, ours = two_cores()
    upper = on_core(contenders.operator(exec="tr a-z A-Z", concurrency=1), ours)
    yield _limit(ours)
    with pinned(node.process.pid, brokers), pinned(os.getpid(), brokers):
        timed = turn(node, OURS, upper, _COUNT, bytes.upper)
    yield timed
    yield _limit(ours)


def _limit(core: int) -> Turn:
    with pinned(os.getpid(), core):
        return single.limit(LIMIT, 1)


SCENARIO = Scenario(
    "apart",
    "How fast does a single operation start programs with the broker on another core?",
    LIMIT,
    apart,
    goals=(Goal("0.8 x the limit, broker on another core", ratio(OURS, LIMIT), 0.8),),
)
