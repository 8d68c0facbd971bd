"""What more agents on one operation change.

Measured: 1, 2, 4, 8 operators with `cat` and `replies: any` on one queue; the CPU is that of all of
them for each message. On one machine they share its cores with the broker, so the rate can't grow
beyond what these give. Whether more machines would carry more shows in the CPU a message: it
should stay the same.
"""

from collections.abc import Iterator

from bench import contenders
from bench.path import Turn, turn
from bench.scenario import Goal, Scenario, cpu_ratio, ratio
from tests.rabbit import BrokerNode

_COUNT = 20_000
_AGENTS = (1, 2, 4, 8)


def _name(number: int) -> str:
    return f"{number} agent{'s' if number > 1 else ''}"


def scaling(node: BrokerNode) -> Iterator[Turn]:
    """More and more operators on one queue: their outputs come in no order."""
    cat = contenders.operator(exec="cat", process_type="service", replies="any")
    for number in _AGENTS:
        several = contenders.several(cat, number)
        yield turn(node, _name(number), several, _COUNT, ordered=number == 1)


_ONE, _MOST = _name(_AGENTS[0]), _name(_AGENTS[-1])
SCENARIO = Scenario(
    "scaling",
    "What do more agents on one operation change?",
    _ONE,
    scaling,
    goals=(
        Goal(f"{_MOST}: at most 1.25 x the CPU a message", cpu_ratio(_MOST, _ONE), at_most=1.25),
        Goal(f"{_MOST}: at least 0.9 x the rate", ratio(_MOST, _ONE), 0.9),
    ),
    rounds=2,
)
