"""What becomes of messages that come again: nothing is lost, and nothing is stored twice."""

import io
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manager.archiver.spool import Segment
from manager.archiver.tape import Tape
from manager.archiver.vault import Tail
from manager.model import Stored
from streams.archive import Record, SegmentWriter, message_of, read_segment
from streams.archive.keys import time_of
from streams.message import REPLAY_OF, Message

#: few different ones, so that equal ones come; with and without an id
_SOME = st.builds(
    Message, st.sampled_from([b"tick", b"tock", b"1"]), st.sampled_from([None, "", "a", "b"])
)


def content(segment: Segment) -> bytes:
    """Return a closed segment's file."""
    content = segment.spool.content()
    return segment.spool.path.read_bytes() if content is None else content


def records(segment: Segment) -> list[Record]:
    return list(read_segment(io.BytesIO(content(segment))))


def feed(tape: Tape, messages: list[Message]) -> Segment:
    for tag, message in enumerate(messages, start=1):
        tape.add(tag, message)
    return tape.cut()


def tail_after(segment: Segment) -> Tail:
    """Return what an archiver finds that takes over after this segment was stored, not noted."""
    file = io.BytesIO(content(segment))
    stored = Stored(
        segments=1,
        size_bytes=1,
        first_position=segment.position,
        next_position=segment.next_position,
        first_at=time_of(segment.first_us),
        last_at=time_of(segment.last_us),
        last_key=segment.key.key,
    )
    return Tail(segment.next_position, segment.last_us, stored, file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(stored=st.lists(_SOME, min_size=1, max_size=6), later=st.lists(_SOME, max_size=6))
def test_what_was_stored_and_not_acknowledged_is_not_stored_again(
    tmp_path: Path, stored: list[Message], later: list[Message]
) -> None:
    first = feed(Tape(tmp_path, "s", Tail()), stored)
    again = feed(Tape(tmp_path, "s", tail_after(first)), [*stored, *later])
    kept = [*records(first), *records(again)]
    assert [r.body for r in kept] == [m.body for m in (*stored, *later)]
    assert again.position == len(stored)
    assert len({r.message_id for r in kept if r.message_id not in {"a", "b"}}) == sum(
        not m.message_id for m in (*stored, *later)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(_SOME, min_size=1, max_size=6), st.integers(0, 5))
def test_what_only_begins_like_the_last_segment_is_stored(
    tmp_path: Path, stored: list[Message], same: int
) -> None:
    first = feed(Tape(tmp_path, "s", Tail()), stored)
    later = [*stored[: min(same, len(stored) - 1)], Message(b"another")]
    again = feed(Tape(tmp_path, "s", tail_after(first)), later)
    assert [r.body for r in records(again)] == [m.body for m in later]
    made = [r.message_id for r in (*records(first), *records(again)) if r.message_id[:5] == "made-"]
    assert len(set(made)) == len(made)


def test_what_comes_again_in_part_is_stored_when_nothing_follows(tmp_path: Path) -> None:
    first = feed(Tape(tmp_path, "s", Tail()), [Message(b"1"), Message(b"2")])
    again = feed(Tape(tmp_path, "s", tail_after(first)), [Message(b"1")])
    assert [r.body for r in records(again)] == [b"1"]


def test_a_damaged_last_segment_is_no_reason_to_lose_anything(tmp_path: Path) -> None:
    stored = [Message(b"%d" % n * 3000, message_id=f"{n}") for n in range(100)]
    first = feed(Tape(tmp_path, "s", Tail()), stored)
    tail = tail_after(first)
    assert tail.repeated is not None
    tail.repeated.seek(200)
    tail.repeated.write(b"\xff" * 20)
    again = feed(Tape(tmp_path, "s", tail), stored)
    assert [r.body for r in records(again)] == [m.body for m in stored]


def test_replays_of_its_own_archive_are_left_out(tmp_path: Path) -> None:
    own = Message(b"own", headers={REPLAY_OF: "s"})
    others = Message(b"other's", headers={REPLAY_OF: "t"})
    tape = Tape(tmp_path, "s", Tail())
    segment = feed(tape, [own, others, own])
    assert [r.body for r in records(segment)] == [b"other's"]
    assert tape.tag == 3
    assert feed(tape, [own]).records == 0


def test_a_second_delivery_is_the_same_message(tmp_path: Path) -> None:
    message = Message(b"x", headers={"a": 1})
    first = feed(Tape(tmp_path, "s", Tail()), [message])
    again = replace(message, headers={"a": 1, "x-delivery-count": 3})
    assert feed(Tape(tmp_path, "s", tail_after(first)), [again]).records == 0


def test_arrivals_never_go_back(tmp_path: Path) -> None:
    ahead_us = 10**16  # another archiver's clock was in the future
    tape = Tape(tmp_path, "s", Tail(last_us=ahead_us))
    one, two = feed(tape, [Message(b"1")]), feed(tape, [Message(b"2")])
    assert [r.arrived_us for s in (one, two) for r in records(s)] == [ahead_us, ahead_us]
    assert one.key.key < two.key.key


def test_large_segments_grow_on_disk_and_give_it_back(tmp_path: Path) -> None:
    tape = Tape(tmp_path, "s", Tail())
    body = b"".join(bytes([n % 251, n * 7 % 256]) for n in range(300_000))
    segment = feed(tape, [Message(body, message_id=str(n)) for n in range(5)])
    assert segment.spool.content() is None
    assert segment.spool.path.stat().st_size <= segment.size_bytes
    segment.spool.save()
    assert [message_of(r).body for r in records(segment)] == [body] * 5
    segment.spool.discard()
    tape.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_segments_file_is_what_the_writer_would_have_written(tmp_path: Path) -> None:
    segment = feed(Tape(tmp_path, "s", Tail()), [Message(b"x", message_id="1")])
    plain = io.BytesIO()
    writer = SegmentWriter(plain)
    for record in records(segment):
        writer.write(record)
    writer.close()
    assert len(plain.getvalue()) == segment.size_bytes
