"""A message as an archive keeps it, and back. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.archive import headers
from streams.message import PUBLISHED_US, Message

#: Avro's `long`; and the last microsecond of the year 9999, which most readers' times end with.
_MAX_LONG = 2**63 - 1
_MAX_US = 253_402_300_799_999_999
_MADE_ID = "made-"
_MADE = re.compile(r"made-[0-9a-f]{32}")


@dataclass(slots=True)  # not frozen, which costs 2 us a record
class Record:
    """One archived message. Times in microseconds since 1970, `timestamp` in whole seconds.

    `headers` are strings; `json_headers` names those that hold JSON text, sorted.
    """

    message_id: str
    published_us: int
    arrived_us: int
    content_type: str | None
    correlation_id: str | None
    timestamp: int | None
    headers: Mapping[str, str]
    json_headers: tuple[str, ...]
    body: bytes


def record_of(message: Message, *, arrived_us: int) -> Record:
    """Return the record of a message that reached the archiver at `arrived_us`.

    What the broker adds when it delivers again is left out: a message's record is the same at
    each delivery, the arrival aside. One without an id gets an id that its content gives.
    """
    strings, as_json = headers.encode(message.headers)
    timestamp = message.timestamp
    return Record(
        message_id=headers.text_of(message.message_id or made_id(message)),
        published_us=_published_us(message.headers, timestamp, arrived_us),
        arrived_us=arrived_us,
        content_type=_text(message.content_type),
        correlation_id=_text(message.correlation_id),
        timestamp=timestamp if timestamp is not None and timestamp <= _MAX_LONG else None,
        headers=strings,
        json_headers=as_json,
        body=message.body,
    )


def message_of(record: Record) -> Message:
    """Return the message that was archived.

    Raises:
        ValueError: headers that aren't what a record holds.
    """
    return Message(
        body=record.body,
        message_id=record.message_id,
        content_type=record.content_type,
        correlation_id=record.correlation_id,
        timestamp=record.timestamp,
        headers=headers.decode(record.headers, record.json_headers),
    )


def same(one: Record, other: Record) -> bool:
    """Say whether two records are one message, stored twice."""
    return (
        one.message_id == other.message_id
        and one.body == other.body
        and one.content_type == other.content_type
        and one.headers == other.headers
        and one.json_headers == other.json_headers
    )


def made_id(message: Message, *, position: int | None = None) -> str:
    """Return an id for a message without one: the same whenever it is delivered again.

    `position`, its place in the archive, tells it from others of the same content.
    """
    strings, as_json = headers.encode(message.headers)
    content_type, correlation_id = _text(message.content_type), _text(message.correlation_id)
    parts = (position, content_type, correlation_id, message.timestamp, strings, as_json)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(message.body)
    return f"{_MADE_ID}{digest.hexdigest()[:32]}"


def is_made(message_id: str) -> bool:
    """Say whether an id was made by `made_id`."""
    return _MADE.fullmatch(message_id) is not None


def _published_us(sent: Mapping[str, Any], timestamp: int | None, arrived_us: int) -> int:
    """Return when a message was published, by the best that is known, in microseconds."""
    said = sent.get(PUBLISHED_US)
    if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= _MAX_US:
        return int(said)
    if timestamp is not None and timestamp * 1_000_000 <= _MAX_US:
        return timestamp * 1_000_000
    return arrived_us


def _text(value: str | bytes | None) -> str | None:
    return None if value is None else headers.text_of(value)
