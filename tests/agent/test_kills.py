"""SIGKILL under load: the set of outputs is complete, whoever was killed."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent.protocol import ExitStatus
from streams.message import Message
from streams.settings import Settings
from tests.agent.operating import Pipeline, Tearable, defined, operating
from tests.eventually import eventually
from tests.rabbit import BrokerNode, running_node

SINGLE: dict[str, Any] = {"concurrency": 2}
ONE: dict[str, Any] = {"process_type": "service", "replies": "one"}
ANY: dict[str, Any] = {"process_type": "service", "settle_s": 0.5}
#: prefix, program, its fields, how many messages
KINDS = [
    pytest.param("tr a-z A-Z", SINGLE, 400, id="single"),
    pytest.param("cat", ONE, 8000, id="one"),
    pytest.param("cat", ANY, 8000, id="any"),
    pytest.param("sed -u s/x/x/", ANY, 3000, id="any, a line at a time"),
]

#: A busy machine is slow, and slowness isn't loss.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def own_node() -> Iterator[BrokerNode]:
    """A broker that nobody else needs."""
    with running_node() as node:
        yield node


def load(number: int) -> list[Message]:
    return [
        Message(b"N%d" % n, message_id=f"id-{n}", content_type="text/plain") for n in range(number)
    ]


def until(pipeline: Pipeline, number: int) -> None:
    """Wait for so many outputs."""
    eventually(lambda: pipeline.made() >= number, within_s=150)


def until_complete(pipeline: Pipeline, number: int) -> None:
    """Wait for so many different outputs."""
    eventually(lambda: len(set(pipeline.bodies())) >= number, within_s=150)


def assert_complete(pipeline: Pipeline, number: int) -> None:
    """None is missing; none is dead; repeats are counted, and are the same messages."""
    bodies = Counter(pipeline.bodies())
    missing = {b"N%d" % n for n in range(number)} - set(bodies)
    assert not missing
    assert not set(bodies) - {b"N%d" % n for n in range(number)}
    assert not pipeline.dead()
    print(f"{bodies.total() - number} of {number} came again")  # noqa: T201 - for the curious


@pytest.mark.parametrize(("exec_", "fields", "number"), KINDS)
def test_operators_killed_under_load_lose_nothing(
    settings: Settings, tmp_path: Path, exec_: str, fields: dict[str, Any], number: int
) -> None:
    urls = settings.need_amqp()
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish_fast(load(number))
        # Given three operators, each killed when it has done a part
        for part in (1, 2, 3):
            with operating(urls, pipeline, defined(exec_, **fields), tmp_path) as operator:
                until(pipeline, part * number // 8)
                operator.kill()
        # When a fourth does the rest
        with operating(urls, pipeline, defined(exec_, **fields), tmp_path) as operator:
            until_complete(pipeline, number)
            assert operator.drain() == ExitStatus.DRAINED
        # Then all is there, and what came again says so by its id
        assert_complete(pipeline, number)
        if fields is not ANY:
            for message in pipeline.outputs():
                assert message.message_id == f"id-{message.body[1:].decode()}"
        eventually(lambda: pipeline.waiting() == 0)


@pytest.mark.parametrize(("exec_", "fields", "number"), KINDS)
def test_programs_killed_under_load_lose_nothing(
    settings: Settings, tmp_path: Path, exec_: str, fields: dict[str, Any], number: int
) -> None:
    urls = settings.need_amqp()
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish_fast(load(number))
        definition = defined(exec_, **{**fields, "retries": 10})
        with operating(urls, pipeline, definition, tmp_path) as operator:
            for part in (1, 2, 3):
                until(pipeline, part * number // 8)
                for pid in operator.programs():
                    _kill(pid)
            until_complete(pipeline, number)
            assert operator.drain() == ExitStatus.DRAINED
        assert_complete(pipeline, number)
        if fields is not ANY:
            # each input has one answer here, so nothing comes twice, and nothing out of place
            assert pipeline.bodies() == [b"N%d" % n for n in range(number)]
        eventually(lambda: pipeline.waiting() == 0)


@pytest.mark.parametrize(("exec_", "fields", "number"), KINDS[:3])
def test_a_connection_torn_under_load_ends_the_operator_in_good_order_and_loses_nothing(
    settings: Settings, tmp_path: Path, exec_: str, fields: dict[str, Any], number: int
) -> None:
    (url,) = settings.need_amqp()
    port = urlsplit(url).port
    assert port is not None
    definition = defined(exec_, **fields)
    with Pipeline([url], "op") as pipeline:
        pipeline.publish_fast(load(number))
        # Given operators whose connection is reset when they have done a part
        for part in (1, 2, 3):
            way = Tearable(port)
            torn_url = url.replace(f":{port}/", f":{way.port}/")
            with operating([torn_url], pipeline, definition, tmp_path) as operator:
                until(pipeline, part * number // 8)
                way.tear()
                # Then each says so by its exit status, and its programs are gone
                assert operator.exit_status() == ExitStatus.LOST_CONNECTION, operator.stderr()
                assert "Traceback" not in operator.stderr()
                eventually(lambda: not operator.programs(), within_s=3)
        with operating([url], pipeline, definition, tmp_path) as operator:
            until_complete(pipeline, number)
            assert operator.drain() == ExitStatus.DRAINED
        assert_complete(pipeline, number)


@pytest.mark.parametrize("fields", [ONE, ANY], ids=["one", "any"])
def test_a_broker_killed_under_load_loses_nothing(
    own_node: BrokerNode, tmp_path: Path, fields: dict[str, Any]
) -> None:
    number, definition = 8000, defined("cat", **fields)
    with own_node.vhost() as settings, Pipeline(urls := settings.need_amqp(), "op") as pipeline:
        own_node.note_queues()
        pipeline.publish_fast(load(number))
        with operating(urls, pipeline, definition, tmp_path) as operator:
            until(pipeline, number // 8)
            own_node.kill()
            assert operator.exit_status() == ExitStatus.LOST_CONNECTION, operator.stderr()
            eventually(lambda: not operator.programs(), within_s=5)
            own_node.start()
        with operating(urls, pipeline, definition, tmp_path) as operator:
            until_complete(pipeline, number)
            assert operator.drain() == ExitStatus.DRAINED
        assert_complete(pipeline, number)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it was through with its message
        os.kill(pid, signal.SIGKILL)
