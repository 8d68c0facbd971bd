"""How fast a single operation starts a program for each message.

Measured: `tr a-z A-Z`, as many at a time as there are cores. Against: `amqp-consume` with `tr` and
`amqp-publish`, which is what a shell user writes. Limit: C that starts `tr` as often and talks to
no broker (peers/spawn.c); it has both cores to itself.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import contenders
from bench.path import Turn, turn
from bench.scenario import Goal, Scenario, ratio
from tests.rabbit import BrokerNode

_SOURCE = Path(__file__).parent / "peers" / "spawn.c"
_CORES = os.cpu_count() or 1
_COUNT, _COUNT_BY_HAND = 2000, 200
LIMIT = f"limit: C starts `tr`, {_CORES} at a time"
OURS, BY_HAND = "`tr a-z A-Z`", "`amqp-consume` with `tr` and `amqp-publish`"


def single(node: BrokerNode) -> Iterator[Turn]:
    """Ours and by hand between turns of the limit."""
    upper = contenders.operator(exec="tr a-z A-Z", concurrency=_CORES)
    yield limit(LIMIT, _CORES)
    yield turn(node, OURS, upper, _COUNT, bytes.upper)
    yield turn(node, BY_HAND, contenders.amqp_tools, _COUNT_BY_HAND, bytes.upper)
    yield limit(LIMIT, _CORES)


def limit(name: str, most: int) -> Turn:
    """Start `tr` in C, so many at a time."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "spawn"
        subprocess.run(["/usr/bin/cc", "-O2", "-o", program, _SOURCE], check=True)
        answer = subprocess.run(
            [program, str(_COUNT), str(most), "/usr/bin/tr", "a-z", "A-Z"],
            capture_output=True,
            check=True,
        )
    return Turn(name, _COUNT / float(answer.stdout))


SCENARIO = Scenario(
    "single",
    "How fast does a single operation start a program for each message?",
    LIMIT,
    single,
    goals=(
        Goal("0.55 x the limit", ratio(OURS, LIMIT), 0.55),
        Goal("5 x by hand", ratio(OURS, BY_HAND), 5),
    ),
    rounds=2,
)
