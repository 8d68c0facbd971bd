"""Demand from end to end: real manager, real agent, and strangers who publish and consume."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment, deployed
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.traffic import PlainConsumer

ONE: dict[str, Any] = {"exec": "cat", "process_type": "service", "replies": "one"}
UPPER: dict[str, Any] = {"exec": "tr a-z A-Z"}
ANY: dict[str, Any] = {"exec": "sed -u s/$/!/", "process_type": "service"}
#: Takes an x away from the front; without one, the message ends here.
STRIP: dict[str, Any] = {"exec": "sed -n s/^x//p"}


@pytest.fixture
def deployment(broker_node: BrokerNode, tmp_path: Path) -> Iterator[Deployment]:
    """A manager and an agent of the test's own."""
    with deployed(broker_node, tmp_path) as running:
        yield running


def consuming(deployment: Deployment, stream: str) -> PlainConsumer:
    return PlainConsumer(deployment.settings.need_amqp()[0], stream)


def publish(deployment: Deployment, stream: str, text: str) -> None:
    """Publish as a shell script does that has never heard of us."""
    (url,) = deployment.settings.need_amqp()
    command = ["amqp-publish", "-u", url, "-e", f"streams.{stream}", "-r", "any", "-b", text]
    subprocess.run(command, check=True, timeout=20)


def until_bodies(consumer: PlainConsumer, *bodies: bytes) -> None:
    what = f"{bodies} came out"
    eventually(lambda: consumer.bodies() == list(bodies), within_s=30, what=what)


def test_a_chain_runs_while_its_last_stream_is_consumed(
    deployment: Deployment, broker_node: BrokerNode
) -> None:
    chain = ("first", "second", "third")
    deployment.operation("first", "a", "b", UPPER, linger_s=0.5)
    deployment.operation("second", "b", "c", ONE, linger_s=0.5)
    deployment.operation("third", "c", "d", ANY, linger_s=0.5)
    deployment.until("idle", *chain)
    # When a stranger consumes the last stream
    with consuming(deployment, "d") as consumer:
        # Then what is published is collected all along, as soon as the first is seen to be wanted
        eventually(lambda: deployment.state("first") != "idle", what="the first is wanted")
        publish(deployment, "a", "hello")
        until_bodies(consumer, b"HELLO!")
        deployment.until("running", *chain)
        assert all(deployment.programs(operation) for operation in ("second", "third"))
    # And when the stranger has left, everything ends, and nothing is collected
    deployment.until("idle", *chain)
    eventually(lambda: not any(deployment.programs(o) for o in chain), what="no program is left")
    with broker_node.management(deployment.vhost) as management:
        assert not any(management.bound_to(f"streams.{stream}") for stream in "abcd")


def test_a_cycle_does_not_keep_itself_alive(deployment: Deployment) -> None:
    loop = ("there", "back")
    deployment.operation("there", "a", "b", STRIP, linger_s=0)
    deployment.operation("back", "b", "a", STRIP, linger_s=0)
    # Given another operation that comes and goes: the manager has looked at all demand each time
    deployment.operation("witness", "x", "y", ONE, linger_s=0)
    for _ in range(3):
        with consuming(deployment, "y"):
            deployment.until("running", "witness")
            assert [deployment.state(operation) for operation in loop] == ["idle", "idle"]
        deployment.until("idle", "witness")
        assert [deployment.state(operation) for operation in loop] == ["idle", "idle"]
    # When somebody outside consumes
    with consuming(deployment, "b") as consumer:
        deployment.until("running", *loop)
        # Then messages go round
        publish(deployment, "a", "xxxhello")
        until_bodies(consumer, b"xxhello", b"hello")
    # And without anybody outside the cycle ends
    deployment.until("idle", *loop)


def test_what_runs_goes_on_while_the_manager_is_away(deployment: Deployment) -> None:
    deployment.operation("stays", "a", "b", ONE, linger_s=0)
    deployment.operation("ends", "a", "c", ONE, linger_s=0)
    deployment.operation("comes", "b", "d", UPPER, linger_s=0)
    with consuming(deployment, "b") as consumer:
        # Given one operation that is wanted throughout, one until the manager is gone
        with consuming(deployment, "c"):
            deployment.until("running", "stays", "ends")
            operators = deployment.operators("stays")
            assert len(operators) == 1
            deployment.manager.kill()
        # When messages and another consumer come meanwhile
        publish(deployment, "a", "alone")
        until_bodies(consumer, b"alone")
        assert deployment.programs("ends")
        with consuming(deployment, "d") as late:
            deployment.start_manager()
            # Then all of that is seen when it is back, and what ran went on: the same process
            deployment.until("running", "stays", "comes")
            deployment.until("idle", "ends", within_s=60)
            publish(deployment, "a", "together")
            until_bodies(late, b"TOGETHER")
            until_bodies(consumer, b"alone", b"together")
            assert deployment.operators("stays") == operators
