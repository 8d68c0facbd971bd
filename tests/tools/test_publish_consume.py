"""`publish` and `consume`, as people and scripts use them, on a real broker."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams import names
from streams.broker import Session, topology
from streams.settings import Settings
from tests.eventually import eventually
from tests.rabbit import running_node
from tests.tools.typist import ROOT, words

DEADLINE_S = 30.0
Tool = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def tool(session: Session, settings: Settings, tmp_path: Path) -> Iterator[Tool]:
    """Start commands with the settings of a broker alone, on which the stream `s` exists."""
    session.call(lambda channel: topology.declare_stream(channel, "s"))
    with ExitStack() as stack:
        yield _starter(stack, settings.need_amqp()[0], tmp_path)


def _starter(stack: ExitStack, url: str, folder: Path) -> Tool:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "STREAMBOSS_AMQP_URL": url,
    }

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        process = stack.enter_context(
            subprocess.Popen(
                words(*arguments),
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        stack.callback(process.kill)
        return process

    return start


def _said(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Wait for a line on stderr that holds this."""
    assert process.stderr
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


def _consume(tool: Tool, *arguments: str) -> subprocess.Popen[bytes]:
    process = tool("consume", "s", *arguments)
    _said(process, b"consuming s")
    return process


def _publish(tool: Tool, stdin: bytes, *arguments: str) -> tuple[int, bytes]:
    process = tool("publish", "s", *arguments)
    _, said = process.communicate(stdin, DEADLINE_S)
    return process.returncode, said


def test_every_line_arrives_the_moment_it_is_published_also_in_a_pipe(tool: Tool) -> None:
    consumer = _consume(tool)
    publisher = tool("publish", "s")
    assert publisher.stdin
    assert consumer.stdout
    for line in (b"Some value\n", b"\xc3\xa4\n", b"\xff\n"):
        publisher.stdin.write(line)
        publisher.stdin.flush()
        assert consumer.stdout.readline() == line
    publisher.stdin.write(b"no newline")
    publisher.stdin.close()
    assert consumer.stdout.readline() == b"no newline\n"
    assert publisher.wait(DEADLINE_S) == 0
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(DEADLINE_S) == 130


def test_many_arrive_whole_and_in_order(tool: Tool) -> None:
    lines = b"".join(b"%d\n" % n for n in range(20_000))
    consumer = _consume(tool, "--count", "20000")
    assert _publish(tool, lines) == (0, b"")
    out, _ = consumer.communicate(timeout=DEADLINE_S)
    assert consumer.returncode == 0
    assert out == lines


def test_a_reader_that_waits_holds_nothing_up_and_gets_all(tool: Tool) -> None:
    consumer = _consume(tool, "--count", "3000")
    lines = b"".join(b"%0100d\n" % n for n in range(3000))
    assert _publish(tool, lines)[0] == 0  # five pipes full
    out, _ = consumer.communicate(timeout=DEADLINE_S)
    assert out == lines


def test_json_tells_what_is_known_of_a_message(tool: Tool) -> None:
    consumer = _consume(tool, "--json", "--count", "2")
    assert _publish(tool, b"text\n\xff\n")[0] == 0
    out, _ = consumer.communicate(timeout=DEADLINE_S)
    text, binary = map(json.loads, out.splitlines())
    assert (text["body"], text["content_type"]) == ("text", "text/plain")
    assert (binary["body_base64"], binary["content_type"]) == ("/w==", "application/octet-stream")
    assert text["message_id"] < binary["message_id"]
    assert text["headers"]["x-streamboss-published-us"] // 1_000_000 == text["timestamp"]


def test_a_file_is_one_message_and_comes_out_as_a_file(tool: Tool, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "picture.png").write_bytes(content)
    consumer = _consume(tool, "--output-dir", "out", "--count", "1")
    assert _publish(tool, b"", "--file", "picture.png")[0] == 0
    out, _ = consumer.communicate(timeout=DEADLINE_S)
    (path,) = out.decode().splitlines()
    assert path.endswith(".png")
    assert (tmp_path / path).read_bytes() == content
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_subscription_collects_while_nobody_reads(tool: Tool, session: Session) -> None:
    first = _consume(tool, "--durable", "nightly")
    first.send_signal(signal.SIGTERM)
    assert first.wait(DEADLINE_S) == 0
    assert _publish(tool, b"a\nb\nc\n") == (0, b"")
    second = _consume(tool, "--durable", "nightly", "--count", "2")
    assert second.communicate(timeout=DEADLINE_S)[0] == b"a\nb\n"
    third = _consume(tool, "--durable", "nightly", "--count", "1")
    assert third.communicate(timeout=DEADLINE_S)[0] == b"c\n"
    queue = names.subscription_queue("s", "nightly")
    eventually(
        lambda: (
            session.call(lambda c: c.queue_declare(queue, passive=True)).method.message_count == 0
        )
    )


def test_what_nobody_collects_is_said(tool: Tool) -> None:
    status, said = _publish(tool, b"a\nb\n")
    assert status == 0
    assert b"nobody collects 's'" in said
    assert b"2 of 2" in said


def test_an_interrupt_leaves_nothing_unconfirmed(tool: Tool) -> None:
    consumer = _consume(tool, "--json")
    publisher = tool("publish", "s")
    assert publisher.stdin
    assert consumer.stdout
    publisher.stdin.write(b"one\ntwo\nhalf a li")
    publisher.stdin.flush()
    bodies = [json.loads(consumer.stdout.readline())["body"] for _ in range(2)]
    publisher.send_signal(signal.SIGINT)
    assert publisher.wait(DEADLINE_S) == 130
    assert bodies == ["one", "two"]


def test_too_few_in_time_is_exit_status_1_and_none_wanted_is_0(tool: Tool) -> None:
    few = tool("consume", "s", "--count", "1", "--timeout", "0.2")
    assert b"0 of 1 messages came" in few.communicate(timeout=DEADLINE_S)[1]
    assert few.returncode == 1
    none = tool("consume", "s", "--timeout", "0.2")
    none.communicate(timeout=DEADLINE_S)
    assert none.returncode == 0


def test_a_reader_that_leaves_ends_the_consumer_though_nothing_comes(tool: Tool) -> None:
    consumer = _consume(tool)
    assert consumer.stdout
    consumer.stdout.close()
    assert consumer.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("command", ["publish", "consume"])
def test_a_missing_stream_is_said_with_its_cure(tool: Tool, command: str) -> None:
    process = tool(command, "nix")
    _, said = process.communicate(b"x\n", DEADLINE_S)
    assert process.returncode == 1
    assert b"'streamboss create-stream nix' creates it" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("consume", "s", "--count", "0"),
        ("consume", "s", "--json", "--framing", "nul"),
        ("publish", "s", "--rate", "0"),
        ("publish", "s", "--framing", "words"),
    ],
)
def test_wrong_usage_is_2(tool: Tool, arguments: tuple[str, ...]) -> None:
    process = tool(*arguments)
    assert process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 2


def test_a_broken_frame_is_said_and_what_came_before_it_is_published(tool: Tool) -> None:
    consumer = _consume(tool, "--count", "1")
    status, said = _publish(tool, b"3:abc,3:abc!", "--framing", "netstring")
    assert status == 1
    assert b"netstring" in said
    consumer.kill()


def test_a_broker_that_restarts_loses_neither_messages_nor_the_consumer(tmp_path: Path) -> None:
    with ExitStack() as stack, running_node() as node, node.vhost() as settings:
        url = settings.need_amqp()[0]
        with Session([url], name="test") as session:
            session.call(lambda channel: topology.declare_stream(channel, "s"))
            session.call(lambda channel: topology.declare_subscription(channel, "s", "kept"))
        node.note_queues()
        tool = _starter(stack, url, tmp_path)
        publisher = tool("publish", "s")
        assert publisher.stdin
        publisher.stdin.write(b"".join(b"%d\n" % n for n in range(1000)))
        publisher.stdin.flush()
        consumer = _consume(tool, "--durable", "kept")
        assert consumer.stdout
        assert consumer.stdout.readline() == b"0\n"
        node.kill()
        publisher.stdin.write(b"".join(b"%d\n" % n for n in range(1000, 2000)))
        publisher.stdin.close()
        node.start()
        seen = {b"0\n"}
        while len(seen) < 2000:
            seen.add(consumer.stdout.readline())
        assert seen == {b"%d\n" % n for n in range(2000)}
        assert publisher.wait(DEADLINE_S) == 0
