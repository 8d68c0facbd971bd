"""Values of headers that pika 1.4 can't carry: doubles, times that no calendar has, deep tables.

It refuses to send doubles and makes whole numbers of those that come, or fails; it fails at a time
after the year 9999, which is what milliseconds in place of seconds are, and at tables within tables
where Python's stack ends. A foreign client's headers must pass through as they are: a message that
ends whoever reads it would come again and again.
"""

import struct
import threading
from typing import Any

from pika import data
from pika.compat import long

_encode_other, _decode_other = data.encode_value, data.decode_value
_DOUBLES = {b"d": struct.Struct(">d"), b"f": struct.Struct(">f")}
_TIME, _SECONDS = b"T", struct.Struct(">Q")
_TABLE, _LIST, _LENGTH = b"F", b"A", struct.Struct(">I")
#: Tables and lists within one another that are looked into; each takes three frames of the stack.
MOST_DEEP = 50

#: An integer that arrived with 64 bits, and leaves with 64.
Int64 = long


class FarTime(int):
    """Seconds since 1970, of a time that `datetime` doesn't have."""


class Deep(bytes):
    """A table or list below all that are looked into, as it goes over the wire."""


class _Depth(threading.local):
    """How many tables and lists are around the value that a thread decodes."""

    now = 0


_depth = _Depth()


def teach_pika() -> None:
    """Let everything that pika sends and receives from now on have them."""
    data.encode_value, data.decode_value = encode, decode


def encode(pieces: list[bytes], value: Any) -> int:
    """Append a value as it goes over the wire; return its length."""
    match value:
        case float():
            pieces.append(b"d" + _DOUBLES[b"d"].pack(value))
        case FarTime():
            pieces.append(_TIME + _SECONDS.pack(value))
        case Deep():
            pieces.append(bytes(value))
            return len(value)
        case _:
            return _encode_other(pieces, value)
    return 9


def decode(encoded: bytes, offset: int) -> tuple[Any, int]:
    """Return the value at `offset`, and where it ends."""
    kind = encoded[offset : offset + 1]
    if double := _DOUBLES.get(kind):
        return double.unpack_from(encoded, offset + 1)[0], offset + 1 + double.size
    if kind in {_TABLE, _LIST}:
        return _decode_container(encoded, offset)
    try:
        return _decode_other(encoded, offset)
    except (ValueError, OverflowError, OSError):
        if kind != _TIME:
            raise
        (seconds,) = _SECONDS.unpack_from(encoded, offset + 1)
        return FarTime(seconds), offset + 1 + _SECONDS.size


def _decode_container(encoded: bytes, offset: int) -> tuple[Any, int]:
    if _depth.now >= MOST_DEEP:
        end = offset + 1 + _LENGTH.size + _LENGTH.unpack_from(encoded, offset + 1)[0]
        return Deep(encoded[offset:end]), end
    _depth.now += 1
    try:
        return _decode_other(encoded, offset)
    finally:
        _depth.now -= 1
