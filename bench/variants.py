"""What TLS and a second worker change for a service.

Measured: `cat` with `replies: any`, over TLS with a certificate that is checked, and with two
programs at once. Against: the same by plain TCP with one program. Limit: the broker, which
encrypts with the same cores.
"""

from collections.abc import Iterator

from bench import contenders
from bench.path import Contender, Turn, turn
from bench.scenario import Goal, Scenario, cpu_ratio
from tests.rabbit import BrokerNode

PLAIN, TLS, TWO = "plain TCP, one worker", "TLS", "two workers"
_COUNT = 20_000


def _cat(**fields: object) -> Contender:
    return contenders.operator(exec="cat", process_type="service", replies="any", **fields)


def variants(node: BrokerNode) -> Iterator[Turn]:
    """Each in turn; two workers answer in no order."""
    yield turn(node, PLAIN, _cat(), _COUNT)
    yield turn(node, TLS, _cat(), _COUNT, way=node.by_tls)
    yield turn(node, TWO, _cat(concurrency=2, order="none"), _COUNT, ordered=False)


SCENARIO = Scenario(
    "variants",
    "What do TLS and a second worker change for a service?",
    PLAIN,
    variants,
    goals=(
        Goal("TLS: at most 1.5 x the CPU a message", cpu_ratio(TLS, PLAIN), at_most=1.5),
        Goal("two workers: at most 1.25 x the CPU a message", cpu_ratio(TWO, PLAIN), at_most=1.25),
    ),
    rounds=2,
)
