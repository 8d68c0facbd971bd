"""Segments: what goes in comes out, and damage is told where it is."""

import io
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.archive import Record, SegmentWriter, message_of, read_segment, record_of
from streams.archive.segment import BLOCK_BYTES
from streams.errors import SegmentDamagedError
from streams.message import Message
from tests.streams.archive.messages import messages


def segment(records: list[Record]) -> bytes:
    """Return a segment's bytes."""
    file = io.BytesIO()
    writer = SegmentWriter(file)
    for record in records:
        writer.write(record)
    writer.close()
    assert (writer.records, writer.bytes) == (len(records), len(file.getvalue()))
    return file.getvalue()


def _some(count: int, size: int = 1000) -> list[Record]:
    """Records that don't compress, over several blocks."""
    chance = Random(7)  # noqa: S311 - a seeded choice, no secret
    return [
        record_of(Message(chance.randbytes(size), message_id=f"{n}"), arrived_us=n)
        for n in range(count)
    ]


@given(st.lists(messages(), max_size=6))
def test_any_sequence_of_messages_is_the_same_sequence(sent: list[Message]) -> None:
    written = segment([record_of(m, arrived_us=n) for n, m in enumerate(sent)])
    assert [message_of(r) for r in read_segment(io.BytesIO(written))] == sent


def test_any_avro_reader_opens_it() -> None:
    message = Message(b"\xff", message_id="1", content_type="a/b", headers={"h": "v", "n": 1})
    row: Any
    (row,) = fastavro.reader(io.BytesIO(segment([record_of(message, arrived_us=1_500_000)])))
    assert row == {
        "message_id": "1",
        "published_at": row["arrived_at"],
        "arrived_at": row["arrived_at"],
        "content_type": "a/b",
        "correlation_id": None,
        "timestamp": None,
        "headers": {"h": "v", "n": "1"},
        "json_headers": ["n"],
        "body": b"\xff",
    }
    assert row["arrived_at"].isoformat() == "1970-01-01T00:00:01.500000+00:00"


def test_an_empty_segment_is_whole() -> None:
    assert list(read_segment(io.BytesIO(segment([])))) == []


def test_a_segment_is_read_in_constant_memory() -> None:
    file = io.BytesIO(segment(_some(20_000)))
    tracemalloc.start()
    assert sum(1 for _ in read_segment(file)) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * BLOCK_BYTES


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_told_after_what_came_before_it(seed: int) -> None:
    records = _some(1500)
    whole = bytearray(segment(records))
    chance = Random(seed)  # noqa: S311 - a seeded choice, no secret
    at = chance.randrange(len(whole) // 2, len(whole))
    damaged = whole[:at] if seed % 2 else whole[:at] + b"\xff" * 64 + whole[at + 64 :]
    read: list[Record] = []
    with pytest.raises(SegmentDamagedError, match=r"after record \d+: .") as told:
        read.extend(read_segment(io.BytesIO(damaged)))
    assert read == records[: len(read)]
    assert len(read) > 250
    assert f"after record {len(read)}:" in str(told.value)


@pytest.mark.parametrize(
    "bits", [(3,), pytest.param(range(8), marks=pytest.mark.long)], ids=["sample", "all"]
)
def test_whichever_bit_is_wrong_it_is_told_or_harms_nothing_else(bits: Sequence[int]) -> None:
    # Given a small segment: its schema first, then blocks
    whole = segment(_some(10, size=20))
    for place in range(8 * len(whole)):
        if place % 8 in bits:
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            # When one bit flips, then nothing is raised but what a replay understands
            with suppress(SegmentDamagedError):
                assert len(list(read_segment(io.BytesIO(damaged)))) <= 10


@pytest.mark.parametrize("cut", range(0, 1500, 37))
def test_a_segment_that_breaks_off_is_told(cut: int) -> None:
    whole = segment(_some(10, size=100))
    assert cut < len(whole) - 1
    came: list[Record] = []
    with pytest.raises(SegmentDamagedError):
        came.extend(read_segment(io.BytesIO(whole[:cut])))
    assert came == []  # there is one block


@pytest.mark.parametrize("content", [b"", b"Obj", b"not avro at all", b"Obj\x01" + b"\xff" * 50])
def test_what_is_no_segment_is_told(content: bytes) -> None:
    with pytest.raises(SegmentDamagedError, match=r"after record 0: ."):
        list(read_segment(io.BytesIO(content)))


def test_avro_of_another_kind_is_told() -> None:
    file = io.BytesIO()
    schema = {"type": "record", "name": "X", "fields": [{"name": "a", "type": "int"}]}
    fastavro.writer(file, fastavro.parse_schema(schema), [{"a": 1}])
    with pytest.raises(SegmentDamagedError, match="message_id"):
        list(read_segment(io.BytesIO(file.getvalue())))
