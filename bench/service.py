"""How fast a service operation moves messages, and at which price.

Measured: `cat`, 20,000 messages of 100 bytes from a quorum queue to a quorum queue, for both kinds
of replies. Against: a relay in stock pika with the same guarantees (peers/relay.py), which has no
program to feed. Limit: the broker, which takes as much of the cores as it gets.
"""

from collections.abc import Iterator

from bench import contenders
from bench.path import Turn, turn
from bench.scenario import Goal, Scenario, cpu_ratio, ratio
from tests.rabbit import BrokerNode

RELAY = "a relay in stock pika"
_COUNT = 20_000
_REPLIES = ("any", "one")


def _name(replies: str) -> str:
    return f"`cat`, `replies: {replies}`"


def service(node: BrokerNode) -> Iterator[Turn]:
    """Ours between turns of the relay."""
    for replies in _REPLIES:
        yield turn(node, RELAY, contenders.relay, _COUNT)
        cat = contenders.operator(exec="cat", process_type="service", replies=replies)
        yield turn(node, _name(replies), cat, _COUNT)
    yield turn(node, RELAY, contenders.relay, _COUNT)


SCENARIO = Scenario(
    "service",
    "How fast does a service operation move messages?",
    RELAY,
    service,
    goals=(
        *(
            Goal(f"{_name(each)}: 1.5 x the relay", ratio(_name(each), RELAY), 1.5)
            for each in _REPLIES
        ),
        *(
            Goal(
                f"{_name(each)}: at most 0.3 x the relay's CPU a message",
                cpu_ratio(_name(each), RELAY),
                at_most=0.3,
            )
            for each in _REPLIES
        ),
    ),
)
