"""What a manager of 10,000 streams, 1,000 operations and 200 nodes costs, and how soon it answers.

Measured from outside, on a manager process of its own: its CPU while nothing is wanted and each
node says every two seconds that it is there; from a consumer's arrival to the assignment; pages of
the API; from its start until it is ready; then with all operations at work, and with five people
who look at the console. Against: the targets, as there is no peer that does this.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pika

from bench.console import LOOKED_AT, looked_at
from bench.crowd import CHAIN, OPERATIONS, crowded, last, output
from bench.path import Turn, memory_bytes, percent_of_a_core
from bench.scenario import Goal, Scenario, value
from streams import names
from tests.deployment import ADMIN, Deployment
from tests.eventually import eventually
from tests.rabbit import BrokerNode

LIMIT = "target: 2 % of a core"
IDLE, ASSIGNED = "nothing is wanted", "a consumer, to the first assignment of its ten operations"
WORKING, ALL = "all operations at work", "demand for all, until all run"
READY, MEMORY = "its start, until it is ready", "its memory"
PAGES = ("streams", "operations", "nodes")
_IDLE_S, _REST_S, _DEADLINE_S = 30.0, 12.0, 60.0
_TIMES, _ASKED = 10, 20
_ALL_S = 180.0
_MIB = 2**20


def manager(_node: BrokerNode) -> Iterator[Turn]:
    """Idle, asked, started again, at work, looked at."""
    with crowded() as deployment:
        yield Turn(LIMIT, 2.0, unit="%")
        time.sleep(_REST_S)
        yield Turn(IDLE, percent_of_a_core(_IDLE_S, deployment.manager.pid), unit="%")
        with _consumer(deployment) as consumer:
            for chain in range(_TIMES):
                yield Turn(ASSIGNED, consumer.assigned_s(chain), unit="s")
            yield from _pages(deployment)
            yield Turn(READY, _started_again_s(deployment), unit="s")
            time.sleep(_REST_S)
            yield Turn(ALL, consumer.all_run_s(deployment), unit="s")
            time.sleep(_REST_S)
            yield Turn(WORKING, percent_of_a_core(_IDLE_S, deployment.manager.pid), unit="%")
            yield Turn(MEMORY, memory_bytes(deployment.manager.pid, "VmRSS") / _MIB, unit="MiB")
            yield from looked_at(deployment)


class _Consumer:
    """Somebody who wants streams, and hears what agents are told."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._told = dict[str, float]()
        queue = self._queue(names.CONTROL_EXCHANGE, "to.#")
        self._channel.basic_consume(queue, self._heard, auto_ack=True)

    def assigned_s(self, chain: int) -> float:
        """Consume what a chain of operations makes; return when its last one is assigned."""
        queue = self._queue(names.exchange(output(chain)))
        self._told.clear()
        began_s = time.monotonic()
        tag = self._channel.basic_consume(queue, lambda *_: None, auto_ack=True)
        while last(chain) not in self._told:
            self._connection.process_data_events(time_limit=1)
            if time.monotonic() - began_s > _DEADLINE_S:
                raise RuntimeError(f"{last(chain)} isn't assigned within {_DEADLINE_S:g} s")
        self._channel.basic_cancel(tag)
        return self._told[last(chain)] - began_s

    def all_run_s(self, deployment: Deployment) -> float:
        """Consume what all chains make; return when all operations run."""
        queue = self._queue(names.exchange(output(0)))
        for chain in range(1, OPERATIONS // CHAIN):
            self._channel.queue_bind(queue, names.exchange(output(chain)))
        began_s = time.monotonic()
        self._channel.basic_consume(queue, lambda *_: None, auto_ack=True)
        eventually(partial(self._all_run, deployment), within_s=_ALL_S, what="all operations run")
        return time.monotonic() - began_s

    def _all_run(self, deployment: Deployment) -> bool:
        self._connection.process_data_events(time_limit=0.2)
        return all(each["state"] == "running" for each in deployment.client.list("operations"))

    def _queue(self, exchange: str, routing_key: str = "") -> str:
        queue = str(self._channel.queue_declare("", exclusive=True).method.queue)
        self._channel.queue_bind(queue, exchange, routing_key)
        return queue

    def _heard(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        for each in json.loads(body).get("operations", ()):
            self._told.setdefault(each["operation"], time.monotonic())

    def close(self) -> None:
        """Be gone."""
        self._connection.close()


@contextmanager
def _consumer(deployment: Deployment) -> Iterator[_Consumer]:
    parameters = deployment.settings.need_amqp()[0] + "?heartbeat=0"
    consumer = _Consumer(parameters)
    try:
        yield consumer
    finally:
        consumer.close()


def _pages(deployment: Deployment) -> Iterator[Turn]:
    """Ask for pages of the API, as a program would that reads them one after the other."""
    with httpx.Client(
        base_url=deployment.settings.need_manager(), auth=ADMIN, trust_env=False, timeout=30
    ) as http:
        for place in PAGES:
            http.get(f"/api/{place}/").raise_for_status()
        for number in range(_ASKED):
            for place in PAGES:
                began_s = time.monotonic()
                answer = http.get(f"/api/{place}/", params={"limit": 100, "offset": number})
                took_s = time.monotonic() - began_s
                if len(answer.raise_for_status().json()["objects"]) != 100:
                    raise RuntimeError(f"{place}: not 100 on a page")
                yield Turn(page(place), took_s * 1000, unit="ms")


def page(place: str) -> str:
    """Name what is measured of a list."""
    return f"/api/{place}/, 100 on a page"


def _started_again_s(deployment: Deployment) -> float:
    deployment.manager.kill_alone()
    began_s = time.monotonic()
    deployment.manager.start()
    eventually(deployment.is_ready, within_s=_DEADLINE_S, what="the manager is ready again")
    return time.monotonic() - began_s


SCENARIO = Scenario(
    "manager",
    "What does a manager of 10,000 streams, 1,000 operations and 200 nodes cost? (less is better)",
    LIMIT,
    manager,
    goals=(
        Goal("nothing is wanted: 2 % of a core", value(IDLE), at_most=2),
        Goal("demand to assignment: 1 s", value(ASSIGNED), at_most=1),
        *(Goal(f"{page(each)}: 50 ms", value(page(each)), at_most=50) for each in PAGES),
        Goal("start to ready: 10 s", value(READY), at_most=10),
        Goal(f"{LOOKED_AT}: 10 % of a core", value(LOOKED_AT), at_most=10),
    ),
    rounds=1,
    longest_s=600,
)
