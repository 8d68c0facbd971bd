"""How long a command takes from its start to what it is for.

Measured: `tools/publish.py` until its message is confirmed, an operator process until its program's
first output. Against: the same message by pika alone. Limit: Python's own start.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import contenders
from bench.path import OPERATION, OUTPUT, Turn, prepare, wait_for
from bench.scenario import Goal, Scenario, value
from streams.broker import Session
from streams.settings import Settings
from tests.rabbit import BrokerNode

_TOOLS = Path(__file__).parents[1] / "tools"
_TIMES = 5
PYTHON, PIKA = "limit: `python -c pass`", "pika alone: connect, publish, confirm"
PUBLISH, OPERATOR = "`tools/publish.py`, to the confirm", "an operator, to its first output"
_BY_PIKA = """
import sys, pika
channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.confirm_delivery()
channel.basic_publish("streams.input", "", b"x")
"""


def starts(node: BrokerNode) -> Iterator[Turn]:
    """Each several times, in turns."""
    with node.vhost() as settings, Session(settings.need_amqp(), name="bench") as session:
        prepare(session, 0)
        url = settings.need_amqp()[0]
        for _ in range(_TIMES):
            yield _timed(PYTHON, partial(_run, [sys.executable, "-c", "pass"]))
            yield _timed(PIKA, partial(_run, [sys.executable, "-c", _BY_PIKA, url]))
            publish = [sys.executable, str(_TOOLS / "publish.py"), "input"]
            yield _timed(PUBLISH, partial(_run, publish, url))
            yield _timed(OPERATOR, partial(_operator, settings, session))


def _timed(name: str, work: Callable[[], None]) -> Turn:
    started_s = time.monotonic()
    work()
    return Turn(name, time.monotonic() - started_s, unit="s")


def _run(command: list[str], url: str = "") -> None:
    environment = {"STREAMBOSS_AMQP_URL": url, "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, env=environment, input=b"x\n", capture_output=True)


def _operator(settings: Settings, session: Session) -> None:
    session.channel.queue_purge("operations.sink")
    cat = contenders.operator(exec="cat", process_type="service", replies="one")
    with cat(settings, f"operations.{OPERATION}", f"streams.{OUTPUT}"):
        wait_for(session, 1)


SCENARIO = Scenario(
    "starts",
    "How long does a command take to do what it is for? (less is better)",
    PIKA,
    starts,
    goals=(
        Goal("`publish.py`: 0.35 s", value(PUBLISH), at_most=0.35),
        Goal("an operator without a spare: 0.15 s", value(OPERATOR), at_most=0.15),
    ),
    rounds=1,
)
