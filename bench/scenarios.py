"""What is measured. Each scenario's contenders take turns on one broker: A B C A B C ..."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import clouds, cold, contenders, objects
from bench.archive import archive
from bench.console import LIMIT as LIMIT_OF_A_CORE
from bench.console import console
from bench.demand import LIMIT, demand
from bench.fleet import LIMIT as LIMIT_OF_A_ROUND
from bench.fleet import fleet
from bench.path import Turn, turn
from bench.publishing import PUBLISH_LOOP
from bench.replay import replay
from tests.rabbit import BrokerNode

_SPAWN_SOURCE = Path(__file__).parent / "peers" / "spawn.c"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question, and how to answer it once."""

    name: str
    question: str
    #: the contender to which the others are set in relation
    yardstick: str
    target: str
    round: Callable[[BrokerNode], Iterator[Turn]]


def service(node: BrokerNode) -> Iterator[Turn]:
    """Service `cat`, both kinds of replies, beside a bare relay."""
    count = 20_000
    for replies in ("any", "one"):
        yield turn(node, "stock-pika relay", contenders.relay, count)
        cat = contenders.operator(exec="cat", process_type="service", replies=replies)
        yield turn(node, f"streamboss service, replies: {replies}", cat, count)
    yield turn(node, "stock-pika relay", contenders.relay, count)


def single(node: BrokerNode) -> Iterator[Turn]:
    """Single `tr`, a process a message, beside the spawn limit and what a shell user writes."""
    cores = os.cpu_count() or 1
    upper = contenders.operator(exec="tr a-z A-Z", concurrency=cores)
    yield _spawn_limit(cores, 2000)
    yield turn(node, "streamboss single", upper, 2000, bytes.upper)
    yield turn(
        node, "amqp-consume with tr and amqp-publish", contenders.amqp_tools, 200, bytes.upper
    )
    yield _spawn_limit(cores, 2000)


def _spawn_limit(concurrency: int, count: int) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "spawn"
        subprocess.run(["/usr/bin/cc", "-O2", "-o", program, _SPAWN_SOURCE], check=True)
        answer = subprocess.run(
            [program, str(count), str(concurrency), "/usr/bin/tr", "a-z", "A-Z"],
            capture_output=True,
            check=True,
        )
    return Turn(f"limit: C, spawn of tr, {concurrency} at a time", count / float(answer.stdout))


SCENARIOS = (
    Scenario(
        "objects",
        "How fast is a large object fetched, and given to a program?",
        objects.RAW_DOWNLOAD,
        "through a single operation >= 0.8 x boto3, < 64 MiB more memory",
        objects.fetches,
    ),
    Scenario(
        "uploads",
        "How fast is a large object stored?",
        objects.RAW_UPLOAD,
        ">= 0.8 x boto3, < 64 MiB more memory",
        objects.uploads,
    ),
    Scenario(
        "replay",
        "How fast is an archive played onto a stream again?",
        PUBLISH_LOOP,
        ">= 20,000 msg/s where the broker allows it, else >= 0.9 x a confirmed publish loop",
        replay,
    ),
    Scenario(
        "service",
        "How fast does a service operation move messages?",
        "stock-pika relay",
        "rate >= 1.5 x the relay, CPU a message <= 0.3 x the relay's",
        service,
    ),
    Scenario(
        "single",
        "How fast does a single operation start a program for each message?",
        f"limit: C, spawn of tr, {os.cpu_count()} at a time",
        "rate >= 0.55 x the limit, >= 5 x amqp-consume",
        single,
    ),
    Scenario(
        "archive",
        "How fast is a stream archived?",
        PUBLISH_LOOP,
        ">= 20,000 msg/s, or 0.9 x the publish loop",
        archive,
    ),
    Scenario(
        "demand",
        "How long from a consumer's arrival on an idle operation to its first output?",
        LIMIT,
        "<= 100 ms (a ratio above 1 is slower here)",
        demand,
    ),
    Scenario(
        "cold",
        "How long from a consumer's arrival to the first output, if a machine has to be launched?",
        clouds.LIMIT,
        "warm: as without machines; cold: the bare machine and its agent (above 1 is slower)",
        cold.cold,
    ),
    Scenario(
        "clouds",
        "How long does a machine of the local cloud take to come, to be saved and to go?",
        clouds.LIMIT,
        "to log in: <= 1.5 x the bare machine; nothing changed: < 2 s (a ratio above 1 is slower)",
        clouds.clouds,
    ),
    Scenario(
        "fleet",
        "How long does the manager plan a round for 1,000 machines, 1,000 operations and 10,000"
        " streams?",
        LIMIT_OF_A_ROUND,
        "the 99th percentile <= 100 ms of a core (a ratio above 1 is slower)",
        fleet,
    ),
    Scenario(
        "console",
        "What do five people who look at 10,000 streams and 1,000 operations cost the manager?",
        LIMIT_OF_A_CORE,
        "< 10 % of a core, a page in < 1 s (a ratio above 1 is more)",
        console,
    ),
)
