"""From a consumer's arrival on an idle operation's output to the first output.

A message waits in the operation's queue already, and everybody is connected: what is measured is
seeing the demand, deciding, starting the program, and the message's way through it. Beside it,
the same by hand: without anybody who looks at demand, on the same broker, in turns.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika

from bench.path import Turn
from bench.scenario import Goal, Scenario, value
from streams import names
from streams.control import Assignment, assignment_key, decode
from tests.deployment import Deployment, deployed
from tests.rabbit import BrokerNode

OPERATION, BY_HAND = "bench", "by-hand"
NODE = "n1"
TIMES = 10
OURS = "consumer to first output"
LIMIT = "limit: cat by subprocess, plain pika"
_DEADLINE_S = 30.0
#: An agent has another operator process in spare after this time.
_REST_S = 1.0
_PERSISTENT = pika.BasicProperties(content_type="text/plain", delivery_mode=2)


class Bystander:
    """A consumer in stock pika that also notes when an assignment goes to the node."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()
        self._came_s: float | None = None
        self._assigned_s: float | None = None
        self._outputs: dict[str, str] = {}
        told = self._queue(names.CONTROL_EXCHANGE, assignment_key(NODE))
        self.channel.basic_consume(told, self._told, auto_ack=True)
        for stream in (OPERATION, BY_HAND):
            self._outputs[stream] = self._queue(f"streams.{stream}", "")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def first_output(self, stream: str, start: Callable[[], None]) -> tuple[float, float | None]:
        """Begin to consume and `start`; return the seconds to the first output and assignment."""
        self._came_s = self._assigned_s = None
        arrived_s = time.monotonic()
        tag = self.channel.basic_consume(self._outputs[stream], self._came, auto_ack=True)
        start()
        while self._came_s is None:
            self._connection.process_data_events(time_limit=1)
            if time.monotonic() - arrived_s > _DEADLINE_S:
                raise RuntimeError(f"no output on {stream} within {_DEADLINE_S:g} s")
        self.channel.basic_cancel(tag)
        assigned_s = self._assigned_s
        return self._came_s - arrived_s, None if assigned_s is None else assigned_s - arrived_s

    def put(self, queue: str) -> None:
        """Put a message where it waits."""
        self.channel.basic_publish("", queue, b"hello", _PERSISTENT)

    def _queue(self, exchange: str, routing_key: str) -> str:
        queue = str(self.channel.queue_declare("", exclusive=True).method.queue)
        self.channel.queue_bind(queue, exchange, routing_key)
        return queue

    def _came(self, _channel: Any, _method: Any, _properties: Any, _body: bytes) -> None:
        self._came_s = time.monotonic()

    def _told(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        wanted = [a for a in decode(Assignment, body).operations if not a.draining]
        if wanted and self._assigned_s is None:
            self._assigned_s = time.monotonic()


def demand(node: BrokerNode) -> Iterator[Turn]:
    """Ours and by hand, in turns; the first of each isn't counted."""
    with (
        tempfile.TemporaryDirectory(prefix="sb-bench-") as folder,
        deployed(node, Path(folder)) as deployment,
    ):
        _prepare(deployment)
        bystander = Bystander(deployment.settings.need_amqp()[0])
        for number in range(TIMES + 1):
            turns = list(_once(deployment, bystander))
            yield from turns if number else ()
        bystander.close()


def _prepare(deployment: Deployment) -> None:
    cat = {"exec": "cat", "process_type": "service"}
    deployment.operation(OPERATION, "input", OPERATION, cat, linger_s=0)
    deployment.client.create_stream(BY_HAND)


def _once(deployment: Deployment, bystander: Bystander) -> Iterator[Turn]:
    url = deployment.settings.need_amqp()[0]
    yield _by_hand(bystander, LIMIT, lambda: _in_this_process(bystander.channel))
    command = f"cat | amqp-publish -u '{url}' -e streams.{BY_HAND} -r x -p"
    consume = ["amqp-consume", "-u", url, "-q", BY_HAND, "-c", "1", "--", "sh", "-c", command]
    yield _by_hand(
        bystander, "by hand: amqp-consume with cat and amqp-publish", lambda: _run(consume)
    )
    deployment.until("idle", OPERATION)
    time.sleep(_REST_S)
    bystander.put(names.operation_queue(OPERATION))
    whole_s, assigned_s = bystander.first_output(OPERATION, lambda: None)
    if assigned_s is None:
        raise RuntimeError("an output without an assignment")
    yield _turn(OURS, whole_s)
    yield _turn("of that: consumer to assignment", assigned_s)
    yield _turn("of that: assignment to first output", whole_s - assigned_s)


def _by_hand(bystander: Bystander, name: str, start: Callable[[], None]) -> Turn:
    bystander.channel.queue_declare(BY_HAND, durable=True, arguments={"x-queue-type": "quorum"})
    bystander.put(BY_HAND)
    whole_s, _ = bystander.first_output(BY_HAND, start)
    return _turn(name, whole_s)


def _in_this_process(channel: Any) -> None:
    method, _, body = channel.basic_get(BY_HAND)
    answer = subprocess.run(["/usr/bin/cat"], input=body, stdout=subprocess.PIPE, check=True)
    channel.basic_publish(f"streams.{BY_HAND}", "", answer.stdout, _PERSISTENT)
    channel.basic_ack(method.delivery_tag)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=_DEADLINE_S)


def _turn(name: str, seconds: float) -> Turn:
    return Turn(name, seconds * 1000, unit="ms")


SCENARIO = Scenario(
    "demand",
    "How long from a consumer's arrival on an idle operation to its first output? (less is better)",
    LIMIT,
    demand,
    goals=(Goal("100 ms on a warm agent", value(OURS), at_most=100),),
    rounds=2,
)
