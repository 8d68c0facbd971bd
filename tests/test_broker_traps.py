"""What RabbitMQ does to the unwary: each has a clear message, and heals by itself where it can."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika
import pytest

from agent.protocol import ExitStatus
from streams import names
from streams.broker import Session, topology
from streams.errors import BrokerError, BrokerRefusedError, TopologyConflictError
from streams.message import Message
from streams.names import operation_queue
from streams.settings import Settings, vhost_of
from tests.agent.operating import Pipeline, defined, operating, text
from tests.cluster import control
from tests.deployment import ROOT, Deployment, deployed
from tests.eventually import eventually
from tests.processes import sigkill
from tests.rabbit import BrokerNode
from tests.traffic import Collector, Publisher, body

ONE: dict[str, Any] = {"exec_": "cat", "process_type": "service", "replies": "one"}
#: An operator's program that works on `slow` for too long.
_SLOW = 'while read l; do [ "$l" = slow ] && sleep 60; echo "$l"; done'
_SOON_S = 40


@contextmanager
def configured(node: BrokerNode, **values: int) -> Iterator[None]:
    """Have a broker run with these settings of application `rabbit` for a `with` block."""
    before = [
        control(node, "eval", f"application:get_env(rabbit, {name}, undefined).").strip()
        for name in values
    ]
    _set(node, {name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        was = dict(zip(values, (_value(text) for text in before), strict=True))
        _set(node, was)


def _set(node: BrokerNode, values: dict[str, str]) -> None:
    words = [f"application:set_env(rabbit, {name}, {value})" for name, value in values.items()]
    control(node, "eval", f"{', '.join(words)}.")


def _value(printed: str) -> str:
    return printed.removeprefix("{ok,").removesuffix("}")


def queue_of(session: Session, name: str) -> int:
    """Return how many messages are ready in a queue."""
    answer = session.call(lambda channel: channel.queue_declare(name, passive=True))
    return int(answer.method.message_count)


# ---- on the line


def test_headers_that_are_too_large_are_refused_in_a_sentence_and_at_once(session: Session) -> None:
    session.call(lambda channel: topology.declare_stream(channel, "s"))
    began_s = time.monotonic()
    with pytest.raises(BrokerError, match=r"headers are too large.*frame_max.*64 KiB"):
        session.publish("streams.s", Message(b"x", headers={"h": "y" * 200_000}))
    assert time.monotonic() - began_s < _SOON_S
    # and the next message passes
    session.publish("streams.s", Message(b"x", headers={"h": "y" * 100_000}))


def test_headers_below_a_frame_travel_through_operations_and_shrink_in_dead_letters(
    settings: Settings, tmp_path: Path
) -> None:
    urls = settings.need_amqp()
    headers = {"h": "y" * 120_000}
    with Pipeline(urls, "op") as pipeline:
        definition = defined('read l; [ "$l" = bad ] && exit 65; echo "$l"')
        pipeline.publish(
            Message(b"good", content_type="text/plain", headers=headers),
            Message(b"bad", content_type="text/plain", headers=headers),
        )
        with operating(urls, pipeline, definition, tmp_path):
            (good,) = eventually(pipeline.outputs, within_s=_SOON_S)
            (bad,) = eventually(pipeline.dead, within_s=_SOON_S)
    assert good.headers["h"] == headers["h"]
    assert "h" not in bad.headers
    assert bad.headers["x-streamboss-exit-status"] == "65"


def test_a_message_larger_than_the_broker_takes_is_refused_with_the_setting_to_raise(
    broker_node: BrokerNode, settings: Settings
) -> None:
    urls, large = settings.need_amqp(), Message(b"x" * 2_000_000)
    with configured(broker_node, max_message_size=1_000_000), Session(urls, name="test") as session:
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        with pytest.raises(BrokerError, match="max_message_size"):
            session.publish("streams.s", large)
    with Session(urls, name="test") as session:
        assert session.publish("streams.s", large) is False


def test_small_frames_and_few_channels_are_enough(
    broker_node: BrokerNode, settings: Settings, tmp_path: Path
) -> None:
    urls = settings.need_amqp()
    with (
        configured(broker_node, frame_max=8192, channel_max=2),
        Pipeline(urls, "op") as pipeline,
        operating(urls, pipeline, defined(**ONE), tmp_path),
    ):
        pipeline.publish(Message(b"x" * 100_000))
        assert eventually(pipeline.bodies, within_s=_SOON_S) == [b"x" * 100_000]


def test_a_consumer_that_stood_still_for_long_goes_on(settings: Settings, tmp_path: Path) -> None:
    # Given a consumer whose broker waits a few seconds for a sign of life
    url = f"{settings.need_amqp()[0]}?heartbeat=1"
    with Session([url], name="test") as session:
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        command = [sys.executable, "-P", "-m", "tools.main", "consume", "s", "--durable", "all"]
        with subprocess.Popen(
            command,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "STREAMBOSS_AMQP_URL": url},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as consumer:
            queue = names.subscription_queue("s", "all")
            eventually(lambda: _consumers(url, queue) == 1, within_s=_SOON_S)
            # When it is stopped for so long that the broker gives it up
            consumer.send_signal(signal.SIGSTOP)
            eventually(lambda: _consumers(url, queue) == 0, within_s=_SOON_S)
            session.publish("streams.s", Message(b"meanwhile", content_type="text/plain"))
            consumer.send_signal(signal.SIGCONT)
            # Then it connects again, and has missed nothing
            assert consumer.stdout is not None
            assert consumer.stdout.readline() == b"meanwhile\n"
            consumer.terminate()


def _consumers(url: str, queue: str) -> int:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    with suppress(pika.exceptions.AMQPChannelError):
        found = connection.channel().queue_declare(queue, passive=True).method.consumer_count
        connection.close()
        return int(found)
    return -1


# ---- rights


@pytest.fixture
def stranger(broker_node: BrokerNode, settings: Settings) -> Iterator[str]:
    """The address of a broker user without any right on the test's vhost but to enter it."""
    name, password = f"stranger-{secrets.token_hex(4)}", "secret"
    url = settings.need_amqp()[0]
    with broker_node.management(vhost_of(url)) as management:
        management.put_user(name, password)
        management.put_permissions(name, configure="^$", write="^$", read="^$")
        yield url.replace(
            f"{quote(broker_node.node.user)}:{broker_node.node.password}@", f"{name}:{password}@"
        )
        management.delete_user(name)


def test_a_user_without_a_right_is_told_which(session: Session, stranger: str) -> None:
    session.call(lambda channel: topology.declare_stream(channel, "s"))
    with Session([stranger], name="stranger") as theirs:
        with pytest.raises(BrokerRefusedError, match=r"no right.*'streams.s'.*refused for user"):
            theirs.publish("streams.s", Message(b"x"))
        with pytest.raises(BrokerRefusedError, match=r"no right.*subscriptions.s.all"):
            theirs.call(lambda channel: topology.declare_subscription(channel, "s", "all"))


@pytest.mark.long
def test_a_right_revoked_under_an_operator_is_said_and_given_again(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    with deployed(broker_node, tmp_path) as deployment:
        urls = deployment.settings.need_amqp()
        deployment.operation("op", "in", "out", {"exec": "cat", "process_type": "service"})
        with Collector(urls, "out", "everything") as collector, Publisher(urls, "in") as publisher:
            deployment.until("running", "op")
            # When somebody takes the node's rights away, and its line is lost
            with broker_node.management(deployment.vhost) as management:
                management.put_permissions("node-n1", configure="^$", write="^$", read="^$")
            for pid in deployment.operators("op"):
                sigkill(pid)
            publisher.allowed = 10
            # Then the manager gives them again, and the operation goes on
            eventually(lambda: collector.different == 10, within_s=_SOON_S, what="it goes on")


# ---- what others do to our queues


@pytest.mark.long
def test_what_others_delete_is_made_anew_and_work_goes_on(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    with deployed(broker_node, tmp_path) as deployment:
        urls = deployment.settings.need_amqp()
        deployment.operation("op", "in", "out", {"exec": "cat", "process_type": "service"})
        with (
            Collector(urls, "out", names.subscription_queue("out", "all")) as collector,
            Publisher(urls, "in") as publisher,
            Session(urls, name="somebody") as somebody,
        ):
            deployment.until("running", "op")
            deeds = (
                lambda channel: channel.queue_delete(operation_queue("op")),
                lambda channel: channel.exchange_delete(names.exchange("in")),
                lambda channel: channel.exchange_delete(names.exchange("out")),
            )
            for number, deed in enumerate(deeds, start=1):
                # When somebody deletes the input's queue, its exchange, the output's exchange
                somebody.call(deed)
                _until_whole(deployment, urls[0])
                # Then what is published from now on comes through
                publisher.allowed += 5
                eventually(
                    lambda: {body(n) for n in range(publisher.allowed)} <= set(collector.bodies),
                    within_s=2 * _SOON_S,
                    what=f"all comes through after deletion {number}",
                )


def _until_whole(deployment: Deployment, url: str) -> None:
    """Wait until the operation collects again, and its output is collected."""

    def bound() -> bool:
        with Session([url], name="look") as session:
            return all(
                session.publish(names.exchange(stream), text("look")) for stream in ("in", "out")
            )

    def whole() -> bool:
        with suppress(BrokerError):
            return bound()
        return False

    eventually(whole, within_s=2 * _SOON_S, what="streams are there and collected")


@pytest.mark.long
def test_queues_of_another_kind_policies_and_alarms_are_noted(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    with broker_node.vhost() as settings, deployed_on(settings, tmp_path) as deployment:
        # Given a queue that an older version made, a policy for everything, and a full disk
        with Session(settings.need_amqp(), name="somebody") as somebody:
            somebody.call(lambda channel: channel.queue_declare("operations.old", durable=True))
            with pytest.raises(TopologyConflictError, match=r"'operations.old'.*delete it"):
                somebody.call(lambda channel: topology.declare_operation(channel, "old"))
        deployment.operation("op", "in", "out", {"exec": "cat"})
        with broker_node.management(deployment.vhost) as management:
            management.put_policy("short", ".*", {"message-ttl": 60_000})
        control(broker_node, "set_disk_free_limit", "1000GB")
        try:
            wanted = ("'operations.old': no quorum queue", "'short' (message-ttl)", "short of disk")
            # Then the manager says so
            eventually(
                lambda: _all_in(wanted, deployment.client.readiness()[1]),
                within_s=_SOON_S,
                what=f"notes: {deployment.client.readiness()}",
            )
        finally:
            control(broker_node, "set_disk_free_limit", "200MB")


def _all_in(wanted: tuple[str, ...], notes: Any) -> bool:
    return all(any(part in note for note in notes) for part in wanted)


@contextmanager
def deployed_on(settings: Settings, folder: Path) -> Iterator[Deployment]:
    """Run a manager without agents for the length of a `with` block."""
    deployment = Deployment(settings, folder)
    try:
        deployment.start_manager()
        yield deployment
    finally:
        deployment.stop()


def test_an_alarm_blocks_publishers_who_say_so_and_go_on_and_not_consumers(
    broker_node: BrokerNode, settings: Settings, tmp_path: Path
) -> None:
    urls = settings.need_amqp()
    with Session(urls, name="test") as session:
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        session.call(lambda channel: topology.declare_subscription(channel, "s", "all"))
        session.publish("streams.s", text("before"))
    control(broker_node, "set_vm_memory_high_watermark", "0.00001")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "STREAMBOSS_AMQP_URL": urls[0],
    }
    command = [sys.executable, "-P", "-m", "tools.main"]
    try:
        with subprocess.Popen(
            [*command, "publish", "s"],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as publisher:
            assert publisher.stdin is not None
            assert publisher.stderr is not None
            publisher.stdin.write(b"during\n")
            publisher.stdin.flush()
            # When there is no memory, the publisher says that it waits
            assert b"memory or disk is short" in publisher.stderr.readline()
            # and what is there can be consumed
            consumed = subprocess.run(
                [*command, "consume", "s", "--durable", "all", "--count", "1"],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                timeout=_SOON_S,
                check=True,
            )
            assert consumed.stdout == b"before\n"
            control(broker_node, "set_vm_memory_high_watermark", "0.4")
            publisher.stdin.close()
            assert publisher.wait(_SOON_S) == 0
    finally:
        control(broker_node, "set_vm_memory_high_watermark", "0.4")
    with Session(urls, name="test") as session:
        assert queue_of(session, names.subscription_queue("s", "all")) == 1


# ---- time


@pytest.mark.long
def test_a_brokers_consumer_timeout_is_named_and_takes_no_neighbour_along(
    broker_node: BrokerNode, settings: Settings, tmp_path: Path
) -> None:
    urls = settings.need_amqp()
    with (
        configured(broker_node, consumer_timeout=1000, channel_tick_interval=500),
        Pipeline(urls, "op") as pipeline,
    ):
        pipeline.publish("slow", "next")
        definition = defined(_SLOW, process_type="service", replies="one", timeout=None)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            # The broker takes the message back; the operator says which setting it was
            assert operator.exit_status(within_s=_SOON_S) == ExitStatus.LOST_CONNECTION
            assert "consumer_timeout" in operator.stderr()
    with operating(urls, pipeline, defined(**ONE), tmp_path / "again"):
        eventually(lambda: set(pipeline.bodies()) == {b"slow", b"next"}, within_s=_SOON_S)
