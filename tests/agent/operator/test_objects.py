"""Objects through real operator processes, a real broker and a real S3 server."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from streams.message import OBJECT_REFERENCE, Message
from streams.reference import ObjectReference
from streams.settings import Settings
from tests.agent.operator.conftest import MakeDesk
from tests.agent.operator.store import MIB, MORE_BYTES, Store, memory, noise, reference
from tests.eventually import eventually
from tests.processes import environment_of
from tests.s3 import S3Server

TEXT = "text/plain"


def test_an_object_is_what_the_program_reads_to_the_byte(s3_desk: MakeDesk, store: Store) -> None:
    # Given texts that inline would get a newline more or lose one
    at = s3_desk(exec="cat; echo; echo $STREAMBOSS_CONTENT_TYPE")
    at.publish(
        store.put("a", b"no newline", TEXT),
        store.put("b", b"a newline\n", TEXT),
        store.put("c", b"", "text/csv"),
        store.put("d", b"\0\xff", "image/png"),
    )
    # Then nothing is added on the way in, and an answer of text ends as ever
    outputs = at.outputs(4)
    assert [output.body for output in outputs] == [
        b"no newline\ntext/plain",
        b"a newline\n\ntext/plain",
        b"\ntext/csv",
        b"\0\xff\nimage/png\n",
    ]
    assert [output.content_type for output in outputs] == [TEXT, TEXT, "text/csv", "image/png"]
    assert at.drain() == 0
    assert at.waiting() == 0


def test_a_reference_by_somebody_who_knows_only_the_key_will_do(
    s3_desk: MakeDesk, store: Store
) -> None:
    store.put("ä/ö ü", b"content")
    at = s3_desk(exec="cat")
    body = json.dumps({"bucket": store.bucket, "key": "ä/ö ü"}).encode()
    at.publish(Message(body, content_type=OBJECT_REFERENCE, message_id="m", headers={"a": 1}))
    (output,) = at.outputs(1)
    assert (output.body, output.content_type, output.message_id) == (b"content", None, "m")
    assert output.headers["a"] == 1


@pytest.mark.parametrize(
    "size", [64 * MIB, pytest.param(1024 * MIB, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_large_objects_go_in_and_out_in_constant_memory(
    s3_desk: MakeDesk, store: Store, tmp_path: Path, size: int
) -> None:
    # Given a large object, and operators that are idle
    path = tmp_path / "large"
    piece = noise(MIB)
    with path.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + piece[8:])
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    message = store.objects.upload_file(path, store.bucket, "large").message()
    path.unlink()
    at = s3_desk(exec="tee /dev/stderr 2>copy | sha256sum >sum; cat copy; cat sum >&2", retries=0)
    at.until("running")
    idle = memory(at, "VmRSS")
    # When it goes through a program
    at.publish(message)
    (output,) = at.outputs(1, within_s=60 + size / MIB)
    # Then the program had the whole of it, so has S3, and the operator never had
    assert store.sha256(output) == sha256
    eventually(lambda: sha256 in " ".join(at.logged))
    assert memory(at, "VmHWM") - idle < MORE_BYTES
    assert at.drain() == 0


def test_outputs_over_the_threshold_become_objects_exactly_as_written(
    s3_desk: MakeDesk, store: Store
) -> None:
    # Given a threshold of 1 MiB
    at = s3_desk(exec='printf "%*s" $(cat) x | tr " " a; echo', order="fifo")
    sizes = [MIB, MIB + 1, 5, 9 * MIB, 1]
    # When texts around it come out
    at.publish(*[Message(b"%d" % n, content_type=TEXT, message_id=f"{n}") for n in sizes])
    outputs = at.outputs(len(sizes))
    # Then only what is larger without its last newline is an object, which keeps its newline
    assert [output.message_id for output in outputs] == [str(size) for size in sizes]
    small = [output for output in outputs if output.content_type == TEXT]
    large = [output for output in outputs if output.content_type == OBJECT_REFERENCE]
    assert [len(output.body) for output in small] == [MIB, 5, 1]
    assert [store.content(output)[-2:] for output in large] == [b"x\n"] * 2
    assert [reference(output).size for output in large] == [MIB + 2, 9 * MIB + 1]
    # And anybody can see what it is and where it came from
    assert [reference(output).content_type for output in large] == [TEXT] * 2
    assert all(key.startswith("outputs/op/20") for key in store.outputs())
    info = store.objects.info(store.bucket, reference(large[0]).key)
    assert info.content_type == TEXT


def test_large_text_that_does_not_begin_as_utf8_is_bytes(s3_desk: MakeDesk, store: Store) -> None:
    at = s3_desk(exec="head -c 3000000 /dev/zero | tr '\\0' '\\377'")
    at.publish(Message(b"x", content_type=TEXT))
    (output,) = at.outputs(1)
    assert reference(output).content_type == "application/octet-stream"


@pytest.mark.parametrize("exit_status", [1, pytest.param(65, marks=pytest.mark.long), 0])
def test_what_a_program_wrote_before_it_failed_is_nowhere(
    s3_desk: MakeDesk, store: Store, s3_server: S3Server, exit_status: int
) -> None:
    # Given a program that fails, or writes too much, when much of its output is in S3 already
    at = s3_desk(
        exec=f"head -c 30000000 /dev/zero; exit {exit_status}", retries=1, max_output_bytes=25 * MIB
    )
    at.publish(b"x")
    (dead,) = at.dead()
    # Then nothing is left there
    assert dead.body == b"x"
    assert at.drain() == 0
    assert store.outputs() == []
    assert s3_server.unfinished(store.bucket) == []


def test_a_retry_reads_the_object_from_its_beginning(s3_desk: MakeDesk, store: Store) -> None:
    at = s3_desk(exec="cat; [ $STREAMBOSS_ATTEMPT = 3 ]", retries=2)
    content = noise(300_000)
    at.publish(store.put("a", content))
    assert at.outputs(1)[0].body == content


def test_objects_and_messages_leave_in_the_order_in_which_they_came(
    s3_desk: MakeDesk, store: Store
) -> None:
    # Given programs of which the first is the slowest
    at = s3_desk(exec="read n; sleep 0.$n; echo $n", concurrency=4)
    numbers = list(range(9, 0, -1)) * 2
    at.publish(
        *[
            store.put(f"{place}", b"%d\n" % number) if place % 3 else Message(b"%d\n" % number)
            for place, number in enumerate(numbers)
        ]
    )
    assert [m.body for m in at.outputs(len(numbers))] == [b"%d\n" % n for n in numbers]


def test_without_an_order_messages_overtake_objects(s3_desk: MakeDesk, store: Store) -> None:
    at = s3_desk(exec="cat", order="none", retries=0)
    many = [store.put(f"{number}", noise(MIB)) for number in range(5)]
    at.publish(*many, *[b"small"] * 5)
    bodies = [output.body for output in at.outputs(10)]
    assert bodies.count(b"small") == 5
    assert bodies.count(noise(MIB)) == 5
    assert bodies[-1] != b"small"


def test_an_output_that_became_an_object_is_an_input_like_any_other(
    s3_desk: MakeDesk, store: Store
) -> None:
    content = noise(20 * MIB)
    first = s3_desk(exec="cat")
    first.publish(store.put("a", content, TEXT))
    (middle,) = first.outputs(1)
    first.publish(middle)
    (output,) = first.outputs(1)
    assert store.content(output) == content
    assert reference(output).key != reference(middle).key
    assert reference(output).content_type == reference(middle).content_type


def test_programs_know_nothing_of_s3(
    s3_desk: MakeDesk, store: Store, s3_settings: Settings
) -> None:
    at = s3_desk(exec="cat; sleep 100")
    at.publish(store.put("a", b"x"))
    at.until("running")
    assert at.process is not None
    operator = at.process.pid
    (program,) = eventually(lambda: _children(operator))
    secrets = [s3_settings.s3.secret_access_key or "-", s3_settings.s3.access_key_id or "-"]
    for pid in (operator, program):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        shown = [entry.decode() for entry in environment_of(pid)] + [command]
        assert not [text for text in shown for secret in secrets if secret in text]
    names = {entry.split(b"=")[0] for entry in environment_of(program)}
    assert not [name for name in names if name.startswith(b"AWS")]
    # nor is the file that holds the content to be found
    assert list(at.scratch.iterdir()) == []


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_reference_leads_into_no_archive_and_no_bucket_but_those_allowed(
    s3_desk: MakeDesk, store: Store, s3_settings: Settings
) -> None:
    # Given an operator whose login may read everything
    settings = replace(s3_settings, bucket=store.bucket, buckets=("theirs",))
    at = s3_desk(settings=settings, exec="cat")
    store.put("archives/secret/2026/01/01/x", b"somebody's messages")
    elsewhere = ObjectReference("elsewhere", "k").message()
    # When somebody names an object of an archive, of another bucket, and one that is theirs
    archived = ObjectReference(store.bucket, "archives/secret/2026/01/01/x").message()
    at.publish(archived, elsewhere, store.put("k", b"content"))
    # Then only that one is read
    (output,) = at.outputs(1)
    assert output.body == b"content"
    reasons = [str(letter.headers["x-streamboss-reason"]) for letter in at.dead(2)]
    assert reasons[0] == "an object reference into the archives: replay them instead"
    assert "bucket 'elsewhere', which the operation's owner may not read" in reasons[1]
