"""One contender's turn: messages wait in a queue, it moves them, every one is checked."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import pika

from streams.broker import Session, topology
from streams.message import MessageIds, now_us
from streams.settings import Settings
from tests.cluster import Cluster
from tests.rabbit import BrokerNode

INPUT, OUTPUT = "input", "output"
OPERATION, SINK = "bench", "sink"
BODY_BYTES = 100
DEADLINE_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one turn; `cpu_us` is its own CPU for a message, or a MiB."""

    contender: str
    rate: float
    cpu_us: float | None = None
    unit: str = "msg/s"
    #: at the peak, beyond what its process took before
    memory_bytes: int | None = None
    #: the broker's CPU meanwhile, for a message
    broker_us: float | None = None
    #: why it has no rate, for a contender that isn't needed to answer the question
    problem: str = ""


#: Runs a contender on (settings, input queue, output exchange) for the length of a block, and
#: gives the numbers of its processes.
Contender = Callable[[Settings, str, str], AbstractContextManager[Sequence[int]]]


def body(number: int, size: int = BODY_BYTES) -> bytes:
    """Return a numbered body."""
    return (b"%d " % number).ljust(size, b"x")


def turn(
    node: BrokerNode | Cluster,
    name: str,
    contender: Contender,
    count: int,
    expected: Callable[[bytes], bytes] = lambda sent: sent,
    *,
    size: int = BODY_BYTES,
    ordered: bool = True,
    way: Callable[[Settings], Settings] = lambda plain: plain,
) -> Turn:
    """Let `contender` move `count` messages, and check that each came out, in order if `ordered`.

    The clock runs from the first output to the last, so that starting up doesn't count. The
    contender reaches the broker by `way`.
    """
    with node.vhost() as settings, Session(settings.need_amqp(), name="bench") as session:
        prepare(session, count, size)
        queue, exchange = f"operations.{OPERATION}", f"streams.{OUTPUT}"
        with contender(way(settings), queue, exchange) as pids:
            timed = clocked(node, session, name, count, pids)
        check(session, [expected(body(number, size)) for number in range(count)], ordered=ordered)
    return timed


def clocked(
    node: BrokerNode | Cluster, session: Session, name: str, count: int, pids: Sequence[int]
) -> Turn:
    """Take the time from the first output to the last of `count`, and the CPU meanwhile."""
    brokers = broker_pids(node)
    first = wait_for(session, count // 20)
    start_s, start_cpu, start_broker = time.monotonic(), cpu_s(*pids), cpu_s(*brokers)
    last = wait_for(session, count)
    seconds, cpu = time.monotonic() - start_s, cpu_s(*pids) - start_cpu
    moved, broker = last - first, cpu_s(*brokers) - start_broker
    return Turn(
        name,
        moved / seconds,
        cpu / moved * 1e6 if pids else None,
        broker_us=broker / moved * 1e6,
    )


def broker_pids(node: BrokerNode | Cluster) -> list[int]:
    """Return the processes that are the broker."""
    nodes = node.nodes if isinstance(node, Cluster) else [node]
    return [each.process.pid for each in nodes]


def cpu_s(*pids: int) -> float:
    """Return the CPU seconds of processes, their children not counted."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def percent_of_a_core(seconds: float, *pids: int) -> float:
    """Return how much of a core processes take, over a while."""
    before_s, began_s = cpu_s(*pids), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(*pids) - before_s) / (time.monotonic() - began_s)


def memory_bytes(pid: int | str, which: str) -> int:
    """Return a process's memory as /proc names it: `VmRSS` now, `VmHWM` at its peak."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{which}:")[2].split()[0]) * 1024


def prepare(session: Session, count: int, size: int = BODY_BYTES) -> None:
    """Declare both streams and let `count` messages wait."""
    session.call(topology.declare_control)
    for operation, stream in ((OPERATION, INPUT), (SINK, OUTPUT)):
        session.call(partial(topology.declare_stream, stream=stream))
        session.call(partial(topology.declare_operation, operation=operation))
        session.call(partial(topology.bind_operation, operation=operation, stream=stream))
    ids = MessageIds()
    channel = session.connection.channel()  # without confirms: the count is waited for below
    for number in range(count):
        us = now_us()
        properties = pika.BasicProperties(
            content_type="text/plain",
            delivery_mode=2,
            message_id=ids.next(),
            timestamp=us // 1_000_000,
        )
        channel.basic_publish(f"streams.{INPUT}", "", body(number, size), properties)
    wait_for(session, count, f"operations.{OPERATION}")


def wait_for(session: Session, count: int, queue: str = f"operations.{SINK}") -> int:
    """Wait until so many messages are in a queue; return how many."""
    deadline = time.monotonic() + DEADLINE_S
    while (there := depth(session, queue)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {there} of {count} messages in {queue}")
        time.sleep(0.01)
    return there


def depth(session: Session, queue: str = f"operations.{SINK}") -> int:
    """Return how many messages are ready in a queue."""
    answer = session.call(lambda channel: channel.queue_declare(queue, passive=True))
    return int(answer.method.message_count)


def check(session: Session, expected: Sequence[bytes], *, ordered: bool) -> None:
    """Look whether all of it came out, and nothing else before it."""
    came = list(islice(drained(session), len(expected)))
    if came != list(expected) if ordered else sorted(came) != sorted(expected):
        raise RuntimeError("a message is missing, changed or out of order")


def drained(session: Session) -> Iterator[bytes]:
    """Take what came out, one by one; nothing is b"", again and again."""
    channel = session.connection.channel()
    for _method, _properties, content in channel.consume(
        f"operations.{SINK}", auto_ack=True, inactivity_timeout=5
    ):
        yield content or b""
    channel.cancel()
