"""Segments: Avro object container files. The only module that imports fastavro."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import fastavro
from fastavro.schema import SchemaParseException
from fastavro.write import Writer

from streams.archive.keys import us_of
from streams.archive.record import Record
from streams.errors import SegmentDamagedError

_TIME = {"type": "long", "logicalType": "timestamp-micros"}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Message",
    "namespace": "streamboss",
    "doc": "One message of a stream.",
    "fields": [
        {"name": "message_id", "type": "string"},
        {"name": "published_at", "type": _TIME},
        {"name": "arrived_at", "type": _TIME},
        {"name": "content_type", "type": ["null", "string"]},
        {"name": "correlation_id", "type": ["null", "string"]},
        {"name": "timestamp", "type": ["null", "long"], "doc": "AMQP's own, in seconds"},
        {"name": "headers", "type": {"type": "map", "values": "string"}},
        {
            "name": "json_headers",
            "type": {"type": "array", "items": "string"},
            "doc": "the names of those headers that hold JSON text",
        },
        {"name": "body", "type": "bytes"},
    ],
}
_PARSED = fastavro.parse_schema(SCHEMA)
#: Records are compressed in blocks of this size: readers and writers hold one block at a time.
BLOCK_BYTES = 64 * 1024
#: What fastavro raises at bytes that aren't what they should be.
_DAMAGE = (
    ValueError,  # also UnicodeDecodeError
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    AttributeError,
    struct.error,
    zlib.error,
    SchemaParseException,
)


class SegmentWriter:
    """Writes records to a file that stays open when the segment is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        self._writer = Writer(file, _PARSED, codec="deflate", sync_interval=BLOCK_BYTES)
        #: how many there are in it
        self.records = 0

    @property
    def bytes(self) -> int:
        """How many bytes the file has so far; what isn't in a block yet comes on top."""
        return self._file.tell() - self._start

    def write(self, record: Record) -> None:
        """Add a record."""
        self._writer.write(
            {
                "message_id": record.message_id,
                "published_at": record.published_us,
                "arrived_at": record.arrived_us,
                "content_type": record.content_type,
                "correlation_id": record.correlation_id,
                "timestamp": record.timestamp,
                "headers": record.headers,
                "json_headers": record.json_headers,
                "body": record.body,
            }
        )
        self.records += 1

    def close(self) -> None:
        """Write what is left; the file is a whole segment now."""
        self._writer.flush()


def read_segment(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a segment, in order, in constant memory.

    Raises:
        SegmentDamagedError: at a block that isn't what it should be, after the records before it.
    """
    count = 0
    try:
        blocks = fastavro.block_reader(file)
    except _DAMAGE as error:
        raise _damaged(count, error) from None
    while block := _next_block(blocks, count):
        yield from block
        count += len(block)


def _next_block(blocks: Any, count: int) -> list[Record]:
    """Return the records of the next block that has any; none at the end."""
    try:
        for block in blocks:
            if records := [_record(row) for row in block]:
                return records
    except _DAMAGE as error:
        raise _damaged(count, error) from None
    return []


def _damaged(count: int, error: Exception) -> SegmentDamagedError:
    cause = str(error) or type(error).__name__
    return SegmentDamagedError(f"the segment is damaged after record {count}: {cause}")


def _record(row: Any) -> Record:
    return Record(
        message_id=row["message_id"],
        published_us=us_of(row["published_at"]),
        arrived_us=us_of(row["arrived_at"]),
        content_type=row["content_type"],
        correlation_id=row["correlation_id"],
        timestamp=row["timestamp"],
        headers=row["headers"],
        json_headers=tuple(row["json_headers"]),
        body=row["body"],
    )
