"""What one agent with 1, 10, 100 operations carries and costs.

Measured: a real agent with a manager; its operations run `cat` and all write to one stream. The
same number of messages is spread over their queues while they stand still. The clock runs from
their going on to the last output; the CPU is that of agent and operators for each message. That is
done twice: an operator's first message costs it more than all that come after. Then, at rest: their
CPU, and their memory, shared pages counted by share.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from bench.path import OUTPUT, SINK, Turn, body, cpu_s, drained, percent_of_a_core, wait_for
from bench.publishing import publish
from bench.scenario import ByContender, Goal, Scenario, median, ratio
from streams import names
from streams.broker import Session, topology
from streams.settings import Settings
from tests.deployment import Deployment, deployed
from tests.processes import descendants, is_operator
from tests.rabbit import BrokerNode

NUMBERS = (1, 10, 100)
FEW, MANY = NUMBERS[0], NUMBERS[-1]
_COUNT = 20_000
_START_S, _REST_S, _IDLE_S = 120.0, 5.0, 10.0
_MIB = 2**20


def named(number: int, what: str = "") -> str:
    """Name what is measured with so many operations."""
    return f"{number} operation{'s' if number > 1 else ''}{what}"


def at_first(number: int) -> str:
    """Name what is measured with so many that carry their first messages."""
    return named(number, ", first messages")


def at_rest(number: int) -> str:
    """Name the CPU of so many at rest."""
    return named(number, ", at rest")


def memory(number: int) -> str:
    """Name the memory of so many."""
    return named(number, ", memory")


def operations(node: BrokerNode) -> Iterator[Turn]:
    """More and more operations on one agent."""
    with (
        tempfile.TemporaryDirectory(prefix="sb-bench-") as folder,
        deployed(node, Path(folder), slots=2 * MANY) as deployment,
        Session(deployment.settings.need_amqp(), name="bench") as session,
    ):
        session.call(partial(topology.declare_operation, operation=SINK))
        agent = deployment.agents["n1"].pid
        before = 0
        for number in NUMBERS:
            _add(deployment, range(before, number))
            before = number
            session.call(partial(topology.bind_operation, operation=SINK, stream=OUTPUT))
            time.sleep(_REST_S)
            for name in (at_first(number), named(number)):
                yield _carried(session, deployment.settings, number, agent, name)
            time.sleep(_REST_S)
            pids = _pids(agent)
            idle = percent_of_a_core(_IDLE_S, *pids)
            yield Turn(at_rest(number), idle, unit="%")
            yield Turn(memory(number), sum(map(_pss_bytes, pids)) / _MIB, unit="MiB")


def _add(deployment: Deployment, numbers: range) -> None:
    cat = {"exec": "cat", "process_type": "service"}
    for number in numbers:
        deployment.operation(_operation(number), f"in{number}", OUTPUT, cat, demand="always")
    deployment.until("running", *map(_operation, numbers), within_s=_START_S)


def _operation(number: int) -> str:
    return f"op{number}"


def _carried(session: Session, settings: Settings, number: int, agent: int, name: str) -> Turn:
    session.channel.queue_purge(names.operation_queue(SINK))
    pids = _pids(agent)
    with _stopped(pids[1:]):
        _publish(settings, number)
    start_s, start_cpu = time.monotonic(), cpu_s(*pids)
    wait_for(session, _COUNT)
    seconds, cpu = time.monotonic() - start_s, cpu_s(*pids) - start_cpu
    _check(settings.need_amqp())
    return Turn(name, _COUNT / seconds, cpu / _COUNT * 1e6)


@contextmanager
def _stopped(pids: Sequence[int]) -> Iterator[None]:
    """Let processes stand still for the length of a block."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _publish(settings: Settings, number: int) -> None:
    """Spread the messages over the operations' queues.

    Each is confirmed: a quorum queue may lose what its publisher left behind unconfirmed.
    """
    for operation in range(number):
        publish(settings, f"in{operation}", range(operation, _COUNT, number))


def _check(urls: Sequence[str]) -> None:
    """Take all of it out again; a consumer left open would take the next one's."""
    with Session(urls, name="check") as session:
        came = sorted(islice(drained(session), _COUNT))
    if came != sorted(map(body, range(_COUNT))):
        raise RuntimeError("a message is missing, changed or there twice")


def _pids(agent: int) -> list[int]:
    """Return what is ours: the agent and its operators, not their programs."""
    return [agent, *(pid for pid, _ in descendants(agent) if is_operator(pid))]


def _pss_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024


def _each(name: str, by_contender: ByContender) -> float:
    """Return what one operation more takes."""
    few, many = (median(by_contender[at]) for at in (named(FEW, name), named(MANY, name)))
    return (many - few) / (MANY - FEW)


def memory_of_each(by_contender: ByContender) -> float:
    """Return the MiB that one operation more takes."""
    return _each(", memory", by_contender)


def rest_of_each(by_contender: ByContender) -> float:
    """Return how many percent of a core one operation more takes at rest."""
    return _each(", at rest", by_contender)


SCENARIO = Scenario(
    "operations",
    "What do 1 to 100 operations on one agent cost?",
    named(FEW),
    operations,
    goals=(
        Goal(f"{named(MANY)}: 0.9 x the rate of one", ratio(named(MANY), named(FEW)), 0.9),
        Goal("one operation more, at rest: 0.1 % of a core", rest_of_each, at_most=0.1),
        Goal("one operation more: 32 MiB", memory_of_each, at_most=32),
    ),
    rounds=1,
    longest_s=600,
)
