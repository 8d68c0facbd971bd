"""What three broker nodes cost, which all keep every message.

Measured: the relay in stock pika and `cat` with `replies: any`, on one node and on a cluster of
three, whose quorum queues have a copy on each; its nodes are on the same cores, so the rate says
less than the CPU.
"""

from collections.abc import Iterator

from bench import contenders
from bench.path import Turn, turn
from bench.scenario import Scenario
from bench.service import RELAY
from tests.cluster import running_cluster
from tests.rabbit import BrokerNode

ONE, THREE = "one node", "three nodes"
OURS = "`cat`"
_COUNT, _TIMES = 10_000, 2


def cluster(node: BrokerNode) -> Iterator[Turn]:
    """Both on one node and on three, in turns."""
    cat = contenders.operator(exec="cat", process_type="service", replies="any")
    with running_cluster() as three:
        for _ in range(_TIMES):
            for where, place in ((ONE, node), (THREE, three)):
                yield turn(place, named(RELAY, where), contenders.relay, _COUNT)
                yield turn(place, named(OURS, where), cat, _COUNT)


def named(name: str, where: str) -> str:
    """Name a contender at its place."""
    return f"{name}, {where}"


SCENARIO = Scenario(
    "cluster",
    "What does a broker of three nodes cost?",
    named(RELAY, ONE),
    cluster,
    rounds=1,
)
