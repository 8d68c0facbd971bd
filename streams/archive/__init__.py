"""An archive: a stream's messages as objects, in segments that any Avro reader opens.

Segments lie under `archives/<stream>/<YYYY>/<MM>/<DD>/<arrival>-<id>.avro`; a segment's arrival is
that of its first message, in UTC, and never goes back within a stream: so the keys' order is the
archive's order.
"""

from streams.archive.keys import SegmentKey, day_prefix, stream_prefix
from streams.archive.record import Record, message_of, record_of, same
from streams.archive.segment import SegmentWriter, read_segment

__all__ = [
    "Record",
    "SegmentKey",
    "SegmentWriter",
    "day_prefix",
    "message_of",
    "read_segment",
    "record_of",
    "same",
    "stream_prefix",
]
