"""How long one message takes through an operation, at 10, 50 and 90 % of what goes through it.

Measured: service `cat` with `replies: one`, from publishing to the arrival at a consumer of the
output. The maximum is what goes through with 2,000 messages under way. Against: itself at a tenth
of that, where nothing waits. Sender and consumer are one process on the same cores, whose own time
is part of each figure.
"""

import statistics
from collections.abc import Iterator, Sequence

from bench import contenders
from bench.pacing import Pacing
from bench.path import OPERATION, OUTPUT, Turn, prepare
from bench.scenario import Goal, Scenario, value
from streams.broker import Session
from tests.rabbit import BrokerNode

OURS = "`cat`"
_SHARES = (0.1, 0.5, 0.9)
_SECONDS = 4.0
_WARM_S = 1.5
_cat = contenders.operator(exec="cat", process_type="service", replies="one")


def latency(node: BrokerNode) -> Iterator[Turn]:
    """At each share of what goes through."""
    most = _most(node)
    for share in _SHARES:
        yield from _turns(f"{OURS} at {share:.0%}", _paced(node, share * most))


def _most(node: BrokerNode) -> float:
    with node.vhost() as settings, Session(settings.need_amqp(), name="bench") as session:
        prepare(session, 0)
        with _cat(settings, f"operations.{OPERATION}", f"streams.{OUTPUT}"):
            Pacing(settings.need_amqp(), _WARM_S)
            return Pacing(settings.need_amqp(), _SECONDS).per_second


def _paced(node: BrokerNode, pace: float) -> Sequence[float]:
    with node.vhost() as settings, Session(settings.need_amqp(), name="bench") as session:
        prepare(session, 0)
        with _cat(settings, f"operations.{OPERATION}", f"streams.{OUTPUT}"):
            Pacing(settings.need_amqp(), _WARM_S, pace)
            return Pacing(settings.need_amqp(), _SECONDS, pace).latencies_ms


def _turns(name: str, latencies_ms: Sequence[float]) -> Iterator[Turn]:
    thousandths = statistics.quantiles(latencies_ms, n=1000)
    for percentile, place in (("p50", 499), ("p99", 989), ("p99.9", 998)):
        yield Turn(f"{name}, {percentile}", thousandths[place], unit="ms")


SCENARIO = Scenario(
    "latency",
    "How long does one message take through a service? (less is better)",
    f"{OURS} at 10%, p50",
    latency,
    goals=(Goal("p50 at half of the maximum: 10 ms", value(f"{OURS} at 50%, p50"), at_most=10),),
    rounds=1,
)
