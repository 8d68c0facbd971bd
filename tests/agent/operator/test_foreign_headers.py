"""Headers as no client of ours writes them, through a real broker and a real operator."""

import struct
from typing import Any

import pika
import pytest
from pika import data
from pika.exceptions import AMQPError

from streams import names
from tests.agent.operator.conftest import MakeDesk
from tests.agent.operator.desk import Desk


def _nested(kind: bytes, depth: int) -> bytes:
    """Return tables (F) or lists (A) in one another."""
    value = b"V"
    for _ in range(depth):
        inner = b"\x01a" + value if kind == b"F" else value
        value = kind + struct.pack(">I", len(inner)) + inner
    return value


#: Each type that RabbitMQ lets through, as it goes over the wire.
KINDS: dict[str, bytes] = {
    "true": b"t\x01",
    "byte": b"b\xff",
    "unsigned byte": b"B\xff",
    "short": b"s\xff\xfe",
    "unsigned short": b"u\xff\xfe",
    "int": b"I\xff\xff\xff\xfe",
    "unsigned int": b"i\xff\xff\xff\xfe",
    "long": b"l" + struct.pack(">q", -(2**63)),
    "long by RabbitMQ": b"L" + struct.pack(">q", 2**63 - 1),
    "float": b"f" + struct.pack(">f", 0.1),
    "double": b"d" + struct.pack(">d", 0.1),
    "not a number": b"d" + struct.pack(">d", float("nan")),
    "decimal": b"D\x02" + struct.pack(">i", -123),
    "decimal of many places": b"D\xff" + struct.pack(">i", 1),
    "text": b"S\x00\x00\x00\x02hi",
    "text that isn't UTF-8": b"S\x00\x00\x00\x02\xff\xfe",
    "bytes": b"x\x00\x00\x00\x02\xff\xfe",
    "time": b"T" + struct.pack(">Q", 1_700_000_000),
    "time in milliseconds": b"T" + struct.pack(">Q", 1_700_000_000_000),
    "the last time": b"T" + struct.pack(">Q", 2**64 - 1),
    "nothing": b"V",
    "list": b"A\x00\x00\x00\x03t\x01V",
    "deep lists": b"A\x00\x00\x00\x0aA\x00\x00\x00\x05A\x00\x00\x00\x00",
    "table": b"F\x00\x00\x00\x03\x01aV",
    "table with a name twice": b"F\x00\x00\x00\x06\x01aV\x01aV",
    "table with an empty name": b"F\x00\x00\x00\x02\x00V",
}


class _Raw(bytes):
    """A value as it goes over the wire."""


@pytest.fixture(autouse=True)
def _raw_values(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = data.encode_value

    def encode(pieces: list[bytes], value: Any) -> int:
        if not isinstance(value, _Raw):
            return int(ours(pieces, value))
        pieces.append(bytes(value))
        return len(value)

    monkeypatch.setattr(data, "encode_value", encode)


def _publish(at: Desk, headers: dict[str, Any], body: bytes) -> None:
    properties = pika.BasicProperties(headers=headers, delivery_mode=2, content_type="text/plain")
    at.session.channel.basic_publish(names.exchange("a"), "", body, properties)


def _is_taken(at: Desk, kind: str) -> bool:
    """Publish a header of a kind; say whether the broker itself takes it."""
    try:
        _publish(at, {"h": _Raw(KINDS[kind])}, kind.encode())
    except AMQPError:
        at.session.close()
        return False
    return True


@pytest.mark.parametrize("kind_of", [{}, {"process_type": "service", "replies": "one"}])
def test_headers_of_each_type_pass_through(desk: MakeDesk, kind_of: dict[str, str]) -> None:
    at = desk(exec="cat", **kind_of)
    taken = [kind for kind in KINDS if _is_taken(at, kind)]
    assert len(taken) > 20
    outputs = at.outputs(len(taken))
    assert [output.body.decode() for output in outputs] == taken
    assert all("h" in output.headers for output in outputs)
    assert at.drain() == 0


def test_ten_thousand_headers_hold_nobody_up(desk: MakeDesk) -> None:
    at = desk(exec="cat")
    _publish(at, {f"{number:x}": True for number in range(10_000)}, b"many")
    _publish(at, {}, b"next")
    bodies = {message.body for message in at.outputs(2)}
    assert bodies == {b"many", b"next"}
    assert at.drain() == 0


@pytest.mark.parametrize("kind_of", [{}, {"process_type": "service", "replies": "one"}])
def test_headers_without_a_bottom_end_nobody(desk: MakeDesk, kind_of: dict[str, str]) -> None:
    at = desk(exec="cat", **kind_of)
    for kind in (b"F", b"A"):
        _publish(at, {"h": _Raw(_nested(kind, 5000)), "mine": 1}, kind)
    _publish(at, {}, b"next")
    outputs = at.outputs(3)
    assert [output.body for output in outputs] == [b"F", b"A", b"next"]
    assert at.drain() == 0
