"""Task queues and stream frameworks of others, as their documentation advises, beside an operation.

Measured: `tr a-z A-Z` for each of 1,000 messages, as many at once as there are cores, by Celery,
Dramatiq and FastStream with what they offer of our guarantees (peers/by_*.py), and by Node-RED
(node_red.py); their outputs go to the same queue and are checked in the same way. They are
installed into an environment of their own beside this file; where that can't be done, the scenario
is left out. Where it is only npm that can't, or what Node-RED made isn't right, its line says so.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import contenders, node_red
from bench.path import Turn, body, check, clocked, prepare, turn
from bench.scenario import Goal, LeftOutError, Scenario, ratio
from streams.broker import Session
from streams.settings import Settings
from tests.rabbit import BrokerNode

OURS = "an operation"
CELERY, DRAMATIQ, FASTSTREAM = "Celery", "Dramatiq", "FastStream"
NODE_RED = "Node-RED"
_PEERS = Path(__file__).parent / "peers"
_REQUIREMENTS = _PEERS / "requirements.txt"
_ENVIRONMENT = Path(__file__).parent / "environment"
_BIN = _ENVIRONMENT / "bin"
_COUNT = 1_000
_CORES = os.cpu_count() or 1
_INSTALL_S, _FILL_S = 240, 60
_WORKERS: Mapping[str, list[str]] = {
    CELERY: [str(_BIN / "celery"), "--app", "by_celery", "worker", "--concurrency", str(_CORES)],
    DRAMATIQ: [str(_BIN / "dramatiq"), "by_dramatiq", "-p", str(_CORES), "-t", "1"],
    FASTSTREAM: [str(_BIN / "python"), "by_faststream.py"],
}
#: Who can't take plain messages fills its own queue.
_FILLS: Mapping[str, list[str]] = {
    CELERY: [str(_BIN / "python"), "by_celery.py", str(_COUNT)],
    DRAMATIQ: [str(_BIN / "python"), "by_dramatiq.py", str(_COUNT)],
}


def frameworks(node: BrokerNode) -> Iterator[Turn]:
    """Each in turn."""
    _install()
    upper = contenders.operator(exec="tr a-z A-Z", concurrency=_CORES)
    yield turn(node, OURS, upper, _COUNT, bytes.upper)
    for name in _WORKERS:
        yield _peer(node, name)
    yield _by_node_red(node)


def _install() -> None:
    """Install what is missing, into an environment that isn't ours."""
    done = _ENVIRONMENT / "installed"
    wanted = _REQUIREMENTS.read_text()
    if done.exists() and done.read_text() == wanted:
        return
    pip = [str(_BIN / "python"), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)]
    try:
        for command in ([sys.executable, "-m", "venv", str(_ENVIRONMENT)], pip):
            subprocess.run(command, check=True, timeout=_INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise LeftOutError(f"left out: pip couldn't install the peers: {error}") from error
    done.write_text(wanted)


def _peer(node: BrokerNode, name: str) -> Turn:
    with node.vhost() as settings, Session(settings.need_amqp(), name="bench") as session:
        fill = _FILLS.get(name)
        prepare(session, 0 if fill else _COUNT)
        if fill:
            subprocess.run(fill, env=_variables(settings), cwd=_PEERS, check=True, timeout=_FILL_S)
        with _running(_WORKERS[name], _variables(settings)):
            timed = clocked(node, session, name, _COUNT, ())
        wanted = [body(number).upper() for number in range(_COUNT)]
        check(session, wanted, ordered=False)
    return timed


def _by_node_red(node: BrokerNode) -> Turn:
    """Say so where it couldn't be installed, or where something was lost."""
    try:
        node_red.install()
        return turn(node, NODE_RED, _flow, _COUNT, bytes.upper, ordered=False)
    except (LeftOutError, RuntimeError) as error:
        return Turn(NODE_RED, 0, problem=str(error))


@contextmanager
def _flow(settings: Settings, _queue: str, _exchange: str) -> Iterator[list[int]]:
    with _running(node_red.COMMAND, node_red.variables(settings)):
        yield []  # its programs take most of the CPU, which isn't counted


def _variables(settings: Settings) -> dict[str, str]:
    return {"PEER_URL": settings.need_amqp()[0], "PATH": "/usr/bin:/bin", "C_FORCE_ROOT": "1"}


@contextmanager
def _running(command: list[str], variables: Mapping[str, str]) -> Iterator[None]:
    shown = None if os.environ.get("BENCH_SHOW") else subprocess.DEVNULL
    process = subprocess.Popen(
        command,
        env=variables,
        cwd=_PEERS,
        stdin=subprocess.DEVNULL,
        stdout=shown,
        stderr=shown,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


SCENARIO = Scenario(
    "frameworks",
    "How fast do others run a program for each message?",
    CELERY,
    frameworks,
    goals=tuple(
        Goal(f"{each}: at least as fast", ratio(OURS, each), 1) for each in (*_WORKERS, NODE_RED)
    ),
    rounds=2,
    longest_s=600,
)
