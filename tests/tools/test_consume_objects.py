"""What `consume` makes of references to objects: real broker, real S3."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams import names
from streams.broker import topology
from streams.message import Message
from streams.objects import Objects
from streams.reference import ObjectReference
from tests.eventually import eventually
from tests.faults import Fault, FaultyWay, faulty_way
from tests.s3 import S3Server
from tests.tools.desk import Desk

MIB = 1024 * 1024
BINARY = bytes(range(256)) * 40_000  # more than one part, no end of line at its end


@pytest.fixture
def objects(s3_server: S3Server) -> Objects:
    return Objects(s3_server.access)


@pytest.fixture
def way(s3_server: S3Server) -> Iterator[FaultyWay]:
    with faulty_way(s3_server.access) as proxy:
        yield proxy


def put(
    objects: Objects, bucket: str, key: str, content: bytes, kind: str | None = None
) -> ObjectReference:
    with objects.upload(bucket, key, content_type=kind) as upload:
        upload.write(content)
        return upload.finish()


def peak_bytes(pid: int) -> int:
    """Return the most that a process ever held of the memory; 0 for what has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def waiting(desk: Desk, name: str) -> int:
    queue = names.subscription_queue("s", name)
    return int(
        desk.session.call(lambda c: c.queue_declare(queue, passive=True)).method.message_count
    )


def test_an_object_takes_its_messages_place(desk: Desk, objects: Objects, bucket: str) -> None:
    picture = put(objects, bucket, "p", BINARY, "image/png")
    text = put(objects, bucket, "t", b"some\ntext", "text/plain")
    lines = put(objects, bucket, "l", b"more\ntext\n", "text/plain")
    empty = put(objects, bucket, "e", b"")
    consumer = desk.consume("--count", "7")
    desk.publish(Message(b"first"), picture, Message(b"third"), text, lines, empty, Message(b"end"))
    status, out = consumer.end()
    assert status == 0
    assert out == b"first\n" + BINARY + b"third\nsome\ntext\nmore\ntext\nend\n"


def test_an_object_alone_is_the_file_that_was_streamed(desk: Desk, bucket: str) -> None:
    path = desk.file("large.bin", os.urandom(20 * MIB))
    consumer = desk.consume("--count", "1")
    desk.typist.must("stream-file", "s", bucket, str(path))
    assert consumer.process.stdout
    digest = hashlib.file_digest(consumer.process.stdout, "sha256")  # type: ignore[arg-type]
    assert consumer.end()[0] == 0
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_with_a_framing_an_object_is_one_frame(desk: Desk, objects: Objects, bucket: str) -> None:
    consumer = desk.consume("--framing", "netstring", "--count", "1")
    desk.publish(put(objects, bucket, "p", BINARY, "image/png"))
    assert consumer.end() == (0, b"%d:%s," % (len(BINARY), BINARY))


def test_a_folder_gets_a_whole_file_for_each(desk: Desk, objects: Objects, bucket: str) -> None:
    consumer = desk.consume("--output-dir", "out", "--count", "3")
    again = replace(put(objects, bucket, "a/x.dat", BINARY).message(), message_id="twice")
    desk.publish(again, again, put(objects, bucket, "no-ending", b"{}", "application/json"))
    status, out = consumer.end()
    assert status == 0
    first, second, third = (desk.folder / line for line in out.decode().splitlines())
    assert first == second == desk.folder / "out" / "twice.dat"
    assert first.read_bytes() == BINARY
    assert third.suffix == ".json"
    assert third.read_bytes() == b"{}"
    assert set((desk.folder / "out").iterdir()) == {first, third}


def test_references_can_be_shown_without_s3(desk: Desk, bucket: str) -> None:
    reference = ObjectReference(bucket, "never-there", 7)
    nowhere = replace(desk.access, endpoint_url="http://127.0.0.1:9")
    consumer = desk.consume("--references", "--count", "1", typist=desk.reaching(nowhere))
    desk.publish(reference)
    status, out = consumer.end()
    assert status == 0
    assert ObjectReference.parse(out) == reference


def test_json_has_the_reference_and_what_is_small_of_its_content(
    desk: Desk, objects: Objects, bucket: str
) -> None:
    small = put(objects, bucket, "s", b"text", "text/plain")
    large = put(objects, bucket, "l", bytes(2 * MIB), "image/png")
    consumer = desk.consume("--json", "--count", "2")
    desk.publish(small, large)
    status, out = consumer.end()
    assert status == 0
    one, two = map(json.loads, out.splitlines())
    assert (one["body"], one["content_type"], one["reference"]["key"]) == (
        *("text", "text/plain"),
        "s",
    )
    assert two["reference"] == json.loads(large.body())
    assert not {"body", "body_base64"} & set(two)


def test_what_cannot_be_had_is_said_kept_and_passed_over(
    desk: Desk, objects: Objects, bucket: str
) -> None:
    there = put(objects, bucket, "there", b"content")
    lost = (
        ObjectReference(bucket, "gone", 7),
        replace(there, etag="0" * 32),
        replace(there, size=8),
        Message(b"{}", content_type="application/vnd.streamboss.object+json"),
    )
    consumer = desk.consume("--durable", "d", "--count", "6")
    desk.publish(Message(b"first"), *lost, there)
    status, out = consumer.end()
    assert status == 1
    assert out == b"first\ncontent"
    for text in (
        "gone doesn't exist",
        "isn't the object that was named",
        "not the 8",
        "bucket: is",
    ):
        assert text.encode() in consumer.said
    assert consumer.said.endswith(b"4 objects couldn't be fetched\n")
    eventually(lambda: waiting(desk, "d") == 4)


@pytest.mark.parametrize("shape", [["--durable", "d"], ["--durable", "d", "--output-dir", "out"]])
def test_wrong_bytes_never_pass_for_an_object(
    desk: Desk, objects: Objects, bucket: str, way: FaultyWay, shape: list[str]
) -> None:
    reference = put(objects, bucket, "k", bytes(9000))
    way.inject(Fault(wrong_at=5000), method="GET", times=99)
    consumer = desk.consume(*shape, "--count", "1", typist=desk.reaching(way.access))
    desk.publish(reference)
    assert consumer.end() == (1, b"")
    assert b"damaged" in consumer.said
    eventually(lambda: waiting(desk, "d") == 1)
    assert not (desk.folder / "out").exists() or not list((desk.folder / "out").iterdir())


def test_a_server_that_is_away_is_waited_for(
    desk: Desk, objects: Objects, bucket: str, way: FaultyWay
) -> None:
    reference = put(objects, bucket, "k", BINARY)
    consumer = desk.consume("--count", "2", typist=desk.reaching(way.access))
    with way.refusing():
        desk.publish(reference, Message(b"after"))
        consumer.hear(b"can't be reached")
    assert consumer.end() == (0, BINARY + b"after\n")
    assert b"trying again for 5 minutes" in consumer.said


def test_a_refused_login_ends_it_with_the_message_kept(
    desk: Desk, objects: Objects, bucket: str
) -> None:
    stranger = replace(desk.access, access_key_id="nobody")
    consumer = desk.consume("--durable", "d", typist=desk.reaching(stranger))
    desk.publish(put(objects, bucket, "k", b"content"))
    assert consumer.end() == (1, b"")
    assert b"refuses the login (InvalidAccessKeyId)" in consumer.said
    eventually(lambda: waiting(desk, "d") == 1)


def test_an_interrupt_ends_a_fetch_with_nothing_half_left_behind(
    desk: Desk, objects: Objects, bucket: str, way: FaultyWay
) -> None:
    reference = put(objects, bucket, "k", BINARY)
    way.inject(Fault(bytes_per_s=100_000), method="GET", times=99)
    words = ("--durable", "d", "--output-dir", "out")
    consumer = desk.consume(*words, typist=desk.reaching(way.access))
    desk.publish(Message(b"before"), reference, Message(b"behind"))
    folder = desk.folder / "out"
    eventually(lambda: any(path.stat().st_size for path in folder.glob(".*.part")))
    consumer.process.send_signal(signal.SIGINT)
    status, out = consumer.end()
    assert status == 130
    (before,) = (Path(line) for line in out.decode().splitlines())
    assert [path.name for path in folder.iterdir()] == [before.name]
    eventually(lambda: waiting(desk, "d") == 2)


def test_too_slow_an_object_is_too_late(
    desk: Desk, objects: Objects, bucket: str, way: FaultyWay
) -> None:
    reference = put(objects, bucket, "k", BINARY)
    way.inject(Fault(bytes_per_s=100_000), method="GET", times=99)
    words = ("--count", "1", "--timeout", "1")
    consumer = desk.consume(*words, typist=desk.reaching(way.access))
    desk.publish(reference)
    assert consumer.end() == (1, b"")
    assert b"0 of 1 messages came" in consumer.said


def test_a_terminal_shows_text_and_says_what_else_there_is(
    desk: Desk, objects: Objects, bucket: str
) -> None:
    picture = put(objects, bucket, "p", bytes(2 * MIB), "image/png")
    small = put(objects, bucket, "q", b"\0\1\2", "image/gif")
    text = put(objects, bucket, "t", "tricky \x1b[2J \u00e4".encode(), "text/plain")
    desk.session.call(lambda channel: topology.declare_subscription(channel, "s", "d"))
    desk.publish(picture, small, text)
    shown = desk.typist.on_terminal("consume", "s", "--durable", "d", "--count", "3").stdout
    assert f"(2,097,152 bytes, image/png, s3://{bucket}/p)" in shown
    assert "(3 bytes, image/gif)" in shown
    assert "tricky \\x1b[2J \u00e4\r\n" in shown


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_huge_file_goes_in_and_comes_out_in_little_memory(desk: Desk, bucket: str) -> None:
    path = desk.file("huge.bin", b"")
    with path.open("r+b") as file:
        for start in range(0, 1 << 30, 64 * MIB):
            file.seek(start)
            file.write(os.urandom(MIB))
        file.truncate(1 << 30)
    consumer = desk.consume("--count", "1")
    idle_bytes = peak_bytes(consumer.process.pid)
    sender = desk.typist.start("stream-file", "s", bucket, str(path))
    peaks = [0]
    while sender.poll() is None:
        peaks.append(peak_bytes(sender.pid))
        time.sleep(0.2)
    assert sender.communicate()[0].endswith("uploaded; reference published on s\n")
    assert max(peaks) < 140 * MIB  # four parts of 8 MiB on their way, and boto3

    peaks = [0]
    digest, stdout = hashlib.sha256(), consumer.process.stdout
    assert stdout
    while piece := stdout.read(MIB):
        digest.update(piece)
        peaks.append(peak_bytes(consumer.process.pid))
    assert consumer.end()[0] == 0
    with path.open("rb") as file:
        assert digest.digest() == hashlib.file_digest(file, "sha256").digest()
    assert max(peaks) < idle_bytes + 64 * MIB


def test_large_messages_that_wait_take_no_memory(desk: Desk) -> None:
    consumer = desk.consume("--count", "40")
    pid = consumer.process.pid
    body = os.urandom(4 * MIB)
    desk.publish(*[Message(body)] * 40)

    def waiting_in_files() -> int:
        descriptors = Path(f"/proc/{pid}/fd").iterdir()
        return sum("/#" in str(descriptor.readlink()) for descriptor in descriptors)

    eventually(lambda: waiting_in_files() >= 35, what="the messages wait in files")
    assert peak_bytes(pid) < 160 * MIB
    status, out = consumer.end()
    assert status == 0
    assert out == (body + b"\n") * 40
