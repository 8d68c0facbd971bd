"""A message: bytes, an identity and what is known about them. Pure."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Content type of a message that only names an object in S3.
OBJECT_REFERENCE = "application/vnd.streamboss.object+json"
#: Nothing larger travels inline (RabbitMQ itself refuses bodies over 128 MiB).
MAX_INLINE_BYTES = 64 * 1024 * 1024
#: Prefix of the headers that are ours.
OWN_HEADER = "x-streamboss-"
PUBLISHED_US = "x-streamboss-published-us"
REPLAY = "x-streamboss-replay"
REPLAY_OF = "x-streamboss-replay-of"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream. `timestamp` is in whole seconds since 1970, as AMQP has it."""

    body: bytes
    message_id: str | None = None
    content_type: str | None = None
    correlation_id: str | None = None
    timestamp: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)


class MessageIds:
    """UUIDv7 ids, rising within one source.

    A random head is drawn for each millisecond batch and a counter follows it, which RFC 9562
    (section 6.2, "Fixed Bit-Length Dedicated Counter") allows and which costs a tenth of a
    random id each.
    """

    _COUNTER_LIMIT = 1 << 30

    def __init__(self) -> None:
        self._millisecond = 0
        self._head = ""
        self._counter = 0

    def next(self) -> str:
        """Return the next id in its canonical form of 36 characters."""
        self._counter += 1
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._millisecond or self._counter >= self._COUNTER_LIMIT:
            self._renew(max(now_ms, self._millisecond + (self._counter >= self._COUNTER_LIMIT)))
        return f"{self._head}{self._counter:08x}"

    def several(self, number: int) -> list[str]:
        """Return the next ids."""
        ids = [self.next()]
        last = self._counter + number - 1
        if last >= self._COUNTER_LIMIT:
            return ids + [self.next() for _ in range(number - 1)]
        ids += [f"{self._head}{counter:08x}" for counter in range(self._counter + 1, last + 1)]
        self._counter = last
        return ids

    def _renew(self, millisecond: int) -> None:
        self._millisecond = millisecond
        self._counter = 0
        random = int.from_bytes(os.urandom(6), "big")
        time_part = f"{millisecond:012x}"
        rand_a = f"{random & 0xFFF:03x}"
        variant = f"{0x8000 | (random >> 12) & 0x3FFF:04x}"
        node_head = f"{(random >> 26) & 0xFFFF:04x}"
        self._head = f"{time_part[:8]}-{time_part[8:]}-7{rand_a}-{variant}-{node_head}"


def now_us() -> int:
    """Return microseconds since 1970, for the header `x-streamboss-published-us`."""
    return time.time_ns() // 1000
