"""What a message's size and its framing cost a service.

Measured: `cat` with `replies: one` on tiny, ordinary and big messages, in framing `length32`; and
on ordinary ones in each framing. Against: the relay in stock pika on messages of the same size.
Limit: the broker, which keeps big messages on disk.
"""

from collections.abc import Iterator

from bench import contenders
from bench.path import BODY_BYTES, Contender, Turn, turn
from bench.scenario import Goal, Scenario, ratio
from bench.service import RELAY
from streams.framing import Framing
from tests.rabbit import BrokerNode

#: bytes, and how many messages take a second or so
SMALL, LARGE = 10, 65_536
_SIZES = {SMALL: 20_000, 1024: 10_000, LARGE: 1000, 1_048_576: 80}


def named(name: str, size: int) -> str:
    """Name a contender with messages of this size."""
    return f"{name}, {size:,} bytes"


def sizes(node: BrokerNode) -> Iterator[Turn]:
    """Each size beside the relay, then each framing."""
    for size, count in _SIZES.items():
        yield turn(node, named(RELAY, size), contenders.relay, count, size=size)
        yield turn(node, named("ours", size), _cat(Framing.LENGTH32), count, size=size)
    yield turn(node, named(RELAY, BODY_BYTES), contenders.relay, _SIZES[SMALL])
    for framing in Framing:
        name = named(f"ours, `{framing}`", BODY_BYTES)
        yield turn(node, name, _cat(framing), _SIZES[SMALL])


def _cat(framing: Framing) -> Contender:
    return contenders.operator(
        exec="cat", process_type="service", replies="one", framing=framing.value
    )


SCENARIO = Scenario(
    "sizes",
    "What do a message's size and framing cost a service?",
    named(RELAY, BODY_BYTES),
    sizes,
    goals=tuple(
        Goal(f"{size:,} bytes: the relay", ratio(named("ours", size), named(RELAY, size)), 1)
        for size in _SIZES
    ),
    rounds=1,
)
