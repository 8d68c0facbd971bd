"""Doubles in headers: pika refuses to send them, and makes whole numbers of those that come.

A foreign client's headers must pass through as they are.
"""

import struct
from typing import Any

from pika import data

_encode_other, _decode_other = data.encode_value, data.decode_value
_FORMATS = {b"d": struct.Struct(">d"), b"f": struct.Struct(">f")}


def teach_pika() -> None:
    """Let everything that pika sends and receives from now on have doubles."""
    data.encode_value, data.decode_value = _encode, _decode


def _encode(pieces: list[bytes], value: Any) -> int:
    if not isinstance(value, float):
        return _encode_other(pieces, value)
    pieces.append(b"d" + _FORMATS[b"d"].pack(value))
    return 9


def _decode(encoded: bytes, offset: int) -> tuple[Any, int]:
    if not (number := _FORMATS.get(encoded[offset : offset + 1])):
        return _decode_other(encoded, offset)
    return number.unpack_from(encoded, offset + 1)[0], offset + 1 + number.size
