"""How many messages are on their way: fewer where they are large, and more again after that."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from manager.archiver.pace import PREFETCH, Pace
from manager.archiver.tape import Tape
from manager.archiver.vault import Tail
from manager.model import Stored
from streams.message import Message

_MIB = 1024 * 1024
_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_SMALL = Stored(1, 1000, 0, PREFETCH, _NOW, _NOW, "key")


def test_it_shrinks_to_what_messages_are_and_grows_back_step_by_step() -> None:
    pace = Pace()
    assert pace.is_too_much_early(17 * _MIB)
    pace.shrink(messages=5, size_bytes=20 * _MIB)
    assert pace.prefetch == 4
    steps = 0
    while pace.grow_after(_SMALL):
        steps += 1
    assert (pace.prefetch, steps) == (PREFETCH, 6)


def test_large_segments_and_quiet_streams_are_no_reason_to_grow() -> None:
    pace = Pace()
    pace.shrink(messages=1, size_bytes=_MIB)
    before = pace.prefetch
    assert not pace.grow_after(replace(_SMALL, size_bytes=16 * _MIB))
    assert not pace.grow_after(replace(_SMALL, next_position=1))
    assert pace.prefetch == before


def test_a_single_message_however_large_is_taken() -> None:
    pace = Pace()
    pace.shrink(messages=1, size_bytes=64 * _MIB)
    assert pace.prefetch == 1
    assert not pace.is_too_much_early(64 * _MIB)


def test_a_segment_is_full_at_half_of_what_may_be_on_its_way(tmp_path: Path) -> None:
    pace, tape = Pace(), Tape(tmp_path, "s", Tail())
    for tag in range(1, PREFETCH // 2):
        tape.add(tag, Message(b""))
    assert not pace.is_full(tape)
    tape.add(PREFETCH // 2, Message(b""))
    assert pace.is_full(tape)
