"""Objects through services: what they are fed, and large outputs in their place."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from streams.message import MAX_INLINE_BYTES, OBJECT_REFERENCE, Message
from streams.settings import Settings
from tests.agent.operator.conftest import MakeDesk
from tests.agent.operator.store import MIB, MORE_BYTES, Store, memory, noise
from tests.faults import faulty_way

#: Reads lines; each says how many letters to answer.
LETTERS = """\
import sys
for line in sys.stdin:
    print("a" * int(line), flush=True)
"""


def written(folder: Path, program: str) -> str:
    """Return the command that runs a Python program."""
    path = folder / "program.py"
    path.write_text(program)
    return f"python3 {path}"


@pytest.mark.parametrize(
    ("framing", "replies"),
    [
        ("nul", "any"),
        ("netstring", "one"),
        ("length32", "any"),
        *(
            pytest.param(*way, marks=pytest.mark.long)
            for way in [("nul", "one"), ("netstring", "any"), ("length32", "one")]
        ),
    ],
)
def test_an_object_is_one_frame_among_others(
    s3_desk: MakeDesk, store: Store, framing: str, replies: str
) -> None:
    # Given objects larger than any pipe, and an empty one, which no answer comes of
    at = s3_desk(exec="cat", process_type="service", framing=framing, replies=replies)
    contents = [noise(300_000).replace(b"\0", b"\n"), b"first", b"", noise(70_000).hex().encode()]
    at.publish(
        store.put("large", contents[0]),
        Message(contents[1]),
        store.put("empty", contents[2]),
        store.put("text", contents[3], "text/plain"),
        Message(b"last"),
    )
    # Then each comes out as it was, in its place
    expected = [content for content in contents if content] + [b"last"]
    assert [m.body for m in at.outputs(len(expected))] == expected
    assert at.drain() == 0
    assert at.waiting() == 0


def test_an_object_is_so_many_lines_to_a_service_of_lines(s3_desk: MakeDesk, store: Store) -> None:
    lines = [b"%d " % number + b"x" * (number % 50) for number in range(20_000)]
    at = s3_desk(exec="grep --line-buffered '0 x*$'", process_type="service")
    at.publish(
        Message(b"00 before"),
        store.put("lines", b"\n".join(lines)),  # the last without its newline
        Message(b"0 "),
        store.put("more", b"10 x\n20 xx\n"),
    )
    expected = [line for line in lines if line.split()[0].endswith(b"0")]
    outputs = [m.body for m in at.outputs(len(expected) + 3, within_s=30)]
    assert outputs == [*expected, b"0 ", b"10 x", b"20 xx"]
    assert at.drain() == 0
    assert at.waiting() == 0


def test_a_large_object_of_lines_is_fed_in_constant_memory(
    s3_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    line = noise(511).hex().encode()
    with path.open("wb") as file:
        for number in range(64 * 1024):
            file.write(b"%d " % (number % 1000) + line + b"\n")
    reference = store.objects.upload_file(path, store.bucket, "large")
    at = s3_desk(exec="grep --line-buffered '^7 '", process_type="service")
    at.until("running")
    idle = memory(at, "VmRSS")
    at.publish(reference.message())
    assert {m.body for m in at.outputs(66, within_s=60)} == {b"7 " + line}
    assert memory(at, "VmHWM") - idle < MORE_BYTES
    assert at.drain() == 0
    assert at.waiting() == 0


@pytest.mark.parametrize(
    ("framing", "inside"),
    [("lines", b"a\nb"), pytest.param("nul", b"a\0b", marks=pytest.mark.long)],
)
def test_an_object_of_several_messages_cannot_have_one_answer(
    s3_desk: MakeDesk, store: Store, framing: str, inside: bytes
) -> None:
    at = s3_desk(exec="cat", process_type="service", replies="one", framing=framing)
    reference = store.put("several", noise(2 * MIB).replace(inside[1:2], b"") + inside)
    at.publish(Message(b"1"), reference, store.put("one", b"2" + inside[1:2]), Message(b"3"))
    assert [m.body for m in at.outputs(3)] == [b"1", b"2", b"3"]
    (dead,) = at.dead()
    assert (dead.body, dead.content_type) == (reference.body, OBJECT_REFERENCE)
    assert "can't have one answer" in dead.headers["x-streamboss-reason"]


def test_an_object_too_large_for_a_frame_is_given_up(s3_desk: MakeDesk, store: Store) -> None:
    # Given one whose reference tells its size, and one whose reference doesn't
    told = Message(
        json.dumps({"bucket": store.bucket, "key": "-", "size": MAX_INLINE_BYTES + 1}).encode(),
        content_type=OBJECT_REFERENCE,
    )
    store.put("large", bytes(MAX_INLINE_BYTES + 1))
    untold = Message(
        json.dumps({"bucket": store.bucket, "key": "large"}).encode(),
        content_type=OBJECT_REFERENCE,
    )
    at = s3_desk(exec="cat", process_type="service", framing="netstring")
    at.publish(told, untold, Message(b"x"))
    assert at.outputs(1)[0].body == b"x"
    for letter in at.dead(2):
        assert "67108865 bytes" in letter.headers["x-streamboss-reason"]
        assert "process_type single" in letter.headers["x-streamboss-reason"]


@pytest.mark.parametrize("replies", ["any", "one"])
def test_large_outputs_are_objects_in_their_place(
    s3_desk: MakeDesk, store: Store, tmp_path: Path, replies: str
) -> None:
    exec_ = written(tmp_path, LETTERS)
    at = s3_desk(exec=exec_, process_type="service", replies=replies)
    sizes = [1, MIB + 1, 2, 3 * MIB, MIB, 3, 2 * MIB]
    at.publish(*[Message(b"%d" % n, content_type="text/plain", message_id=f"{n}") for n in sizes])
    outputs = at.outputs(len(sizes))
    large = [m.content_type == OBJECT_REFERENCE for m in outputs]
    assert large == [size > MIB for size in sizes]
    found = [store.content(m) if m.content_type == OBJECT_REFERENCE else m.body for m in outputs]
    assert found == [b"a" * size for size in sizes]
    if replies == "one":
        assert [m.message_id for m in outputs] == [str(size) for size in sizes]
    assert at.drain() == 0
    assert at.waiting() == 0


@pytest.mark.parametrize("replies", ["any", pytest.param("one", marks=pytest.mark.long)])
def test_outputs_wait_in_order_for_an_s3_that_is_away(
    s3_desk: MakeDesk, store: Store, s3_settings: Settings, tmp_path: Path, replies: str
) -> None:
    with faulty_way(s3_settings.s3) as way:
        exec_ = written(tmp_path, LETTERS)
        by_way = replace(s3_settings, s3=way.access)
        at = s3_desk(exec=exec_, process_type="service", replies=replies, settings=by_way)
        sizes = [1, 2 * MIB, 2, 3 * MIB, 3]
        with way.refusing():
            at.publish(*[Message(b"%d" % size) for size in sizes])
            assert "can't be reached" in at.until("failed", within_s=30)
            assert at.outputs(1)[0].body == b"a"
        outputs = at.outputs(4, within_s=60)
        assert [len(m.body) for m in outputs[1::2]] == [2, 3]
        assert [len(store.content(m)) for m in outputs[::2]] == [2 * MIB, 3 * MIB]
        at.until("running")
        assert at.drain() == 0
        assert at.waiting() == 0
        assert at.waiting("operations.sink") == 0


def test_a_service_may_answer_an_object_before_it_has_read_all_of_it(
    s3_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    # Given one that reads ten bytes of a line, answers, and reads the rest of it later
    program = """\
import os, sys, time
while sys.stdin.buffer.read(10):
    os.write(1, b"early\\n")
    time.sleep(0.5)
    sys.stdin.buffer.readline()
"""
    at = s3_desk(exec=written(tmp_path, program), process_type="service", replies="one")
    at.publish(store.put("line", b"x" * 20_000_000), Message(b"0123456789 and more"))
    assert [m.body for m in at.outputs(2)] == [b"early"] * 2
    assert at.drain() == 0
    assert at.waiting() == 0
    assert at.counters["restarts"] == 0


def test_a_service_that_waits_for_s3_is_not_taken_for_one_that_hangs(
    s3_desk: MakeDesk, store: Store, s3_settings: Settings
) -> None:
    # Given a service that has two seconds for an answer, and answers that wait for S3
    with faulty_way(s3_settings.s3) as way:
        at = s3_desk(
            exec='perl -ne \'$| = 1; print "a" x $_, "\\n"\'',
            process_type="service",
            replies="one",
            timeout=2,
            retries=0,
            settings=replace(s3_settings, s3=way.access),
        )
        sizes = [6 * MIB] * 6
        with way.refusing():
            at.publish(*[Message(b"%d" % size) for size in sizes])
            at.until("failed", within_s=30)
            time.sleep(3.5)  # the time is what is tried
        # Then it is not ended, and nothing is given up
        assert {len(store.content(m)) for m in at.outputs(6, within_s=60)} == {6 * MIB}
        assert at.drain() == 0
        assert at.counters["restarts"] == 0


def test_what_a_service_left_of_an_object_is_fed_again_from_its_beginning(
    s3_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    # Given a service that dies in the middle of an object
    program = f"""\
import os, sys
from pathlib import Path
been = Path({str(tmp_path / "been")!r})
for number, line in enumerate(sys.stdin):
    if line == "200000\\n" and not been.exists():
        been.touch()
        os._exit(1)
    if line == "end\\n":
        print(number, flush=True)
"""
    at = s3_desk(exec=written(tmp_path, program), process_type="service", retries=1)
    content = b"".join(b"%d\n" % number for number in range(400_000)) + b"end\n"
    at.publish(store.put("lines", content))
    assert at.outputs(1)[0].body == b"400000"
    assert at.drain() == 0
    assert at.counters["restarts"] == 1
    assert at.waiting() == 0
