"""Whoever is killed under load: everything that was published comes out, and nothing is dead."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from manager.broker import ManagerBroker
from streams import names
from streams.broker import Session, topology
from streams.message import Message
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


Deed = Callable[[], None]


# Each finds its victim and returns the deed, so that nothing comes between the load and the kill.


def program(deployment: Deployment, _node: BrokerNode) -> Deed:
    victims = deployment.programs("op")
    assert victims
    return lambda: sigkill(*victims)


def operator(deployment: Deployment, _node: BrokerNode) -> Deed:
    victims = deployment.operators("op")
    assert victims
    return lambda: sigkill(*victims)


def agent(deployment: Deployment, _node: BrokerNode) -> Deed:
    return lambda: _again(deployment.agents["n1"].kill, deployment.agents["n1"].start)


def manager(deployment: Deployment, _node: BrokerNode) -> Deed:
    return lambda: _again(deployment.manager.kill, deployment.start_manager)


def broker(_deployment: Deployment, node: BrokerNode) -> Deed:
    return lambda: _again(node.kill, node.start)


def _again(kill: Deed, start: Deed) -> None:
    kill()
    start()


VICTIMS: list[Callable[[Deployment, BrokerNode], Deed]] = [
    program,
    agent,
    manager,
    operator,
    broker,
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
        for victim in VICTIMS:
            started_s, before = time.monotonic(), collector.repeats
            with _under_load(deployment, collector, publisher):
                kill = victim(deployment, node)
            # and the publisher is at work, too
            publisher.allowed += WAITING
            kill()
            until(collector, publisher.allowed)
            again, took_s = collector.repeats - before, time.monotonic() - started_s
            print(f"  {victim.__name__}: {again} came again, {took_s:.1f} s")  # noqa: T201
        eventually(lambda: publisher.done, what="all is confirmed")
        assert publisher.allowed == NUMBER
        assert publisher.returned == 0


@contextmanager
def _under_load(
    deployment: Deployment, collector: Collector, publisher: Publisher
) -> Iterator[None]:
    """Leave the block in the midst of the operator's work, with more of it waiting.

    The operator is quicker than this test alone, so its program is held until there is enough.
    """
    made = collector.different
    programs = eventually(lambda: deployment.programs("op"), what="the program runs")
    for pid in programs:
        os.kill(pid, signal.SIGSTOP)
    publisher.allowed += WAITING
    eventually(lambda: publisher.done, what="the load is there")
    assert collector.different == made
    yield
    for pid in programs:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: collector.different > made, what="the program goes on")


def until(collector: Collector, number: int) -> None:
    """Wait for so many different outputs."""
    eventually(
        lambda: collector.different >= number, within_s=_OUT_S, what=f"{number} different outputs"
    )


def test_the_rates_of_a_stream_begin_when_the_broker_began(own_node: BrokerNode) -> None:
    with own_node.vhost() as settings:
        looks = ManagerBroker(settings, lambda _key, _body: None)
        before_s = looks.management.up_since()
        own_node.kill()
        own_node.start()
        eventually(looks.management.alive)
        since_s = looks.management.up_since()
        assert before_s < since_s < time.time()
        with Session(settings.need_amqp(), name="test") as session:
            session.call(lambda channel: topology.declare_stream(channel, "s"))
            session.publish(names.exchange("s"), Message(b"one"))

        def history() -> list[tuple[float, float]]:
            return looks.stream_history("s", age_s=600, step_s=10)

        eventually(history, what="there are rates")
        assert min(at_s for at_s, _ in history()) > since_s
