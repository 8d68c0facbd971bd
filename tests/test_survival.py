"""Whoever is killed under load: everything that was published comes out, and nothing is dead."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment, deployed
from tests.eventually import eventually
from tests.processes import sigkill
from tests.rabbit import BrokerNode, running_node
from tests.traffic import Collector, Publisher, body

NUMBER = 20_000
#: So many wait when something is killed, and so many more are published meanwhile.
WAITING = NUMBER // 10
_OUT_S = 60
CAT: dict[str, Any] = {"exec": "cat", "process_type": "service", "retries": 10, "settle_s": 0.5}


@pytest.fixture(scope="module")
def own_node() -> Iterator[BrokerNode]:
    """A broker that nobody else needs."""
    with running_node() as node:
        yield node


def kill_program(deployment: Deployment, _node: BrokerNode) -> None:
    sigkill(*eventually(lambda: deployment.programs("op"), what="the program runs"))


def kill_operator(deployment: Deployment, _node: BrokerNode) -> None:
    sigkill(*eventually(lambda: deployment.operators("op"), what="the operator runs"))


def kill_agent(deployment: Deployment, _node: BrokerNode) -> None:
    agent = deployment.agents["n1"]
    agent.kill()
    agent.start()


def kill_manager(deployment: Deployment, _node: BrokerNode) -> None:
    deployment.manager.kill()
    deployment.start_manager()


def kill_broker(_deployment: Deployment, node: BrokerNode) -> None:
    node.kill()
    node.start()


KILLS: list[Callable[[Deployment, BrokerNode], None]] = [
    kill_program,
    kill_agent,
    kill_manager,
    kill_operator,
    kill_broker,
]


@pytest.mark.parametrize("replies", ["any", "one"])
def test_everything_killed_in_turn_under_load_loses_nothing(
    own_node: BrokerNode, tmp_path: Path, replies: str
) -> None:
    with deployed(own_node, tmp_path) as deployment:
        urls = deployment.settings.need_amqp()
        deployment.operation("op", "in", "out", {**CAT, "replies": replies})
        own_node.note_queues()
        with Collector(urls, "out", "everything") as collector:
            deployment.until("running", "op")
            own_node.note_queues()
            _kill_in_turn(deployment, own_node, collector)
            # Then everything is there, nothing else is, and nothing was given up on
            assert set(collector.bodies) == {body(n) for n in range(NUMBER)}
            assert deployment.client.dead_letters("op") == []
        print(f"{replies}: {collector.repeats} of {NUMBER} came again")  # noqa: T201 - counted


def _kill_in_turn(deployment: Deployment, node: BrokerNode, collector: Collector) -> None:
    with Publisher(deployment.settings.need_amqp(), "in") as publisher:
        for kill in KILLS:
            _press(deployment, collector, publisher)
            started_s, before = time.monotonic(), collector.repeats
            # and the publisher is at work, too
            publisher.allowed += WAITING
            kill(deployment, node)
            until(collector, publisher.allowed)
            again, took_s = collector.repeats - before, time.monotonic() - started_s
            print(f"  {kill.__name__}: {again} came again, {took_s:.1f} s")  # noqa: T201
        eventually(lambda: publisher.done, what="all is confirmed")
        assert publisher.allowed == NUMBER
        assert publisher.returned == 0


def _press(deployment: Deployment, collector: Collector, publisher: Publisher) -> None:
    """Return while the operator is in the midst of its work, with more of it waiting.

    It is quicker than this test alone, so its program is held until there is enough.
    """
    made = collector.different
    programs = eventually(lambda: deployment.programs("op"), what="the program runs")
    for pid in programs:
        os.kill(pid, signal.SIGSTOP)
    publisher.allowed += WAITING
    eventually(lambda: publisher.done, what="the load is there")
    assert collector.different == made
    for pid in programs:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: collector.different > made, what="the program goes on")


def until(collector: Collector, number: int) -> None:
    """Wait for so many different outputs."""
    eventually(
        lambda: collector.different >= number, within_s=_OUT_S, what=f"{number} different outputs"
    )
