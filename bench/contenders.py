"""Who takes part: our operator, and the peers as a user would run them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.protocol import Connect, Start
from bench.path import INPUT, OPERATION, OUTPUT, Contender
from streams.control import Assigned
from streams.definition import ProcessDefinition
from streams.settings import Settings

_PEERS = Path(__file__).parent / "peers"


def operator(**fields: object) -> Contender:
    """Our operator, running the definition with these fields."""
    definition = ProcessDefinition.from_mapping({"name": "bench", "application": "any", **fields})

    @contextmanager
    def run(settings: Settings, _queue: str, _exchange: str) -> Iterator[list[int]]:
        assigned = Assigned(
            operation=OPERATION,
            revision=1,
            definition=definition,
            input_stream=INPUT,
            output_stream=OUTPUT,
            objects=settings.objects,
        )
        with tempfile.TemporaryDirectory() as scratch:
            connect = Connect(amqp_urls=settings.need_amqp(), node="bench", scratch=scratch)
            with _ended([sys.executable, "-m", "agent.operator"]) as process:
                assert process.stdin is not None  # noqa: S101 - asked for
                for line in (connect, Start(assigned=assigned)):
                    process.stdin.write(line.model_dump_json().encode() + b"\n")
                process.stdin.flush()
                yield [process.pid]

    return run


def several(contender: Contender, number: int) -> Contender:
    """So many of one contender at once."""

    @contextmanager
    def run(settings: Settings, queue: str, exchange: str) -> Iterator[list[int]]:
        with ExitStack() as stack:
            started = [
                stack.enter_context(contender(settings, queue, exchange)) for _ in range(number)
            ]
            yield [pid for pids in started for pid in pids]

    return run


@contextmanager
def relay(settings: Settings, queue: str, exchange: str) -> Iterator[list[int]]:
    """A relay in stock pika with the same guarantees."""
    command = [sys.executable, str(_PEERS / "relay.py"), settings.need_amqp()[0], queue, exchange]
    with _ended(command) as process:
        yield [process.pid]


@contextmanager
def amqp_tools(settings: Settings, queue: str, exchange: str) -> Iterator[list[int]]:
    """What a shell user would write: amqp-consume with tr and amqp-publish."""
    url = settings.need_amqp()[0]
    inner = f"tr a-z A-Z | amqp-publish -u '{url}' -e {exchange} -r x -p"
    command = ["amqp-consume", "-u", url, "-q", queue, "-p", "10", "--", "sh", "-c", inner]
    with _ended(command) as process:
        yield [process.pid]


@contextmanager
def _ended(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_SHOW") else subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
