"""What five people who look at the console cost the manager, where there is much to see.

10,000 streams, 1,000 operations on 200 nodes that say every two seconds how they are, so that
there is something new at each look. A viewer does what a browser does: hears at `/live/` that
something changed, and then fetches the live part of its page anew.
"""

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from bench.path import Turn
from bench.scenario import Goal, Scenario, value
from manager.model import Operation
from manager.store import Store
from streams import control, names
from streams.broker import Session
from streams.control import Counters, Heartbeat, OperatorReport, OperatorState
from streams.definition import ProcessDefinition
from streams.message import Message
from streams.settings import Settings
from tests.deployment import ADMIN, Deployment
from tests.eventually import eventually
from tests.rabbit import BrokerNode

LIMIT = "target: 10 % of a core"
LOOKED_AT = "five people looking, in addition"
STREAMS, OPERATIONS, NODES = 10_000, 1_000, 200
PLACES = ("/", "/streams/?order=-rate", "/operations/", "/streams/s7/", "/operations/o7/")
_FIRST = 10
_LOOKED_S, _REST_S, _START_S = 30.0, 5.0, 900.0
_CAT = ProcessDefinition(name="cat", application="any", exec="cat")


def console(node: BrokerNode) -> Iterator[Turn]:
    """The manager's CPU with nobody, and with five people who look; how fast a page comes."""
    with tempfile.TemporaryDirectory() as folder, _crowded(node, Path(folder)) as deployment:
        time.sleep(_REST_S)
        yield Turn(LIMIT, 10.0, unit="%")
        alone = _cpu_percent(deployment.manager.pid)
        yield Turn("the manager alone", alone, unit="%")
        with _viewers(deployment.settings):
            time.sleep(_REST_S)
            looked_at = _cpu_percent(deployment.manager.pid)
        yield Turn(LOOKED_AT, looked_at - alone, unit="%")
        for place in PLACES[:3]:
            yield Turn(f"{place}: until it is there", 1000 * _page_s(deployment, place), unit="ms")


def _page_s(deployment: Deployment, place: str) -> float:
    """Return how long a page takes whoever comes to a console that nobody has looked at lately."""
    took_s = []
    with _logged_in(deployment.settings) as http:
        for _ in range(_FIRST):
            time.sleep(1)
            began_s = time.monotonic()
            http.get(place).raise_for_status()
            took_s.append(time.monotonic() - began_s)
    return sorted(took_s)[_FIRST // 2]


@contextmanager
def _crowded(node: BrokerNode, folder: Path) -> Iterator[Deployment]:
    """Run a manager that has much to see, and those who tell it."""
    with node.vhost() as settings, ExitStack() as ending:
        deployment = Deployment(settings, folder)
        ending.callback(deployment.stop)
        _fill(f"sqlite:///{folder}/manager.db")
        deployment.manager.start()
        eventually(deployment.is_ready, within_s=_START_S, what="the manager is ready")
        over = threading.Event()
        crowd = threading.Thread(target=_tell, args=(deployment.settings, over), daemon=True)
        crowd.start()
        ending.callback(crowd.join, 10)
        ending.callback(over.set)
        yield deployment


def _fill(database_url: str) -> None:
    """Keep everything in the store; the manager makes it on the broker when it starts."""
    store = Store(database_url)
    number = store.create_definition(ADMIN[0], _CAT).id
    for stream in range(STREAMS):
        with store.created_stream(f"s{stream}", ADMIN[0]):
            pass
    for operation in range(OPERATIONS):
        ends = f"s{operation}", f"s{operation + 1 if operation % 10 else operation + OPERATIONS}"
        with store.created_operation(Operation(f"o{operation}", ADMIN[0], number, _CAT, *ends)):
            pass
    for name in range(NODES):
        with store.created_node(f"n{name}", ADMIN[0]):
            pass
    store.close()


def _tell(settings: Settings, over: threading.Event) -> None:
    """Be all nodes: each says every two seconds that its operators did something."""
    with Session(settings.need_amqp(), name="crowd") as session:
        done = 0
        while not over.wait(control.HEARTBEAT_S):
            done += 100
            for node in range(NODES):
                beat = control.encode(_beat(node, done))
                key = control.heartbeat_key(f"n{node}")
                session.channel.basic_publish(names.CONTROL_EXCHANGE, key, beat)
            for stream in range(100):
                session.publish(names.exchange(f"s{stream}"), Message(b"x"), mandatory=False)


def _beat(node: int, done: int) -> Heartbeat:
    each = OPERATIONS // NODES
    reports = tuple(
        OperatorReport(
            operation=f"o{number}",
            revision=1,
            state=OperatorState.RUNNING,
            counters=Counters(received=done, acknowledged=done, published=done),
        )
        for number in range(node * each, (node + 1) * each)
    )
    return Heartbeat(node=f"n{node}", incarnation="1", slots=10, offers=("any",), operators=reports)


@contextmanager
def _viewers(settings: Settings) -> Iterator[None]:
    """Let five people look, each at a page of their own."""
    over = threading.Event()
    people = [
        threading.Thread(target=_look, args=(settings, place, over), daemon=True)
        for place in PLACES
    ]
    for person in people:
        person.start()
    try:
        yield
    finally:
        over.set()
        for person in people:
            person.join(10)


def _look(settings: Settings, place: str, over: threading.Event) -> None:
    number = None
    with _logged_in(settings) as http:
        while not over.is_set():
            with http.stream("GET", "/live/") as live:
                for line in live.iter_lines():
                    if over.is_set():
                        return
                    found = re.search(r'"number": (\d+)', line)
                    if found and found[1] != number:
                        number = found[1]
                        http.get(place, headers={"hx-request": "true"}).raise_for_status()
                        if place == "/":
                            http.get("/topology/").raise_for_status()


@contextmanager
def _logged_in(settings: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.need_manager(), trust_env=False, timeout=30) as http:
        http.post("/login/", data={"name": ADMIN[0], "password": ADMIN[1]})
        yield http


def _cpu_percent(pid: int) -> float:
    """Return how much of a core a process takes, over a while."""
    before_s, began_s = _cpu_s(pid), time.monotonic()
    time.sleep(_LOOKED_S)
    return 100 * (_cpu_s(pid) - before_s) / (time.monotonic() - began_s)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


SCENARIO = Scenario(
    "console",
    "What do five people who look at the console cost the manager? (less is better)",
    LIMIT,
    console,
    goals=(Goal("10 % of a core", value(LOOKED_AT), at_most=10),),
    rounds=1,
)
