"""What a message looks like on stdout: to a program, to a person, as JSON."""

import codecs
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import BinaryIO, Protocol

from streams.access import THRESHOLD_BYTES
from streams.errors import FramingError
from streams.framing import Framing, encode, encode_pieces
from streams.message import Message
from streams.reference import ObjectReference
from tools import console

#: A person, and a line of JSON, get so much of an object.
_SHOWN_BYTES = THRESHOLD_BYTES
_PIECE_BYTES = 256 * 1024
#: Larger ones have no length in four bytes.
_LENGTH32_BYTES = (1 << 32) - 1
#: What could move a terminal's cursor or colours, or beep.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Shape(Protocol):
    """Makes bytes of messages, and of the objects that messages refer to."""

    def message(self, message: Message) -> bytes:
        """Return a message."""

    def wants(self, reference: ObjectReference) -> bool:
        """Say whether the object's content is needed."""

    def object(
        self, message: Message, reference: ObjectReference, content: BinaryIO | None
    ) -> Iterator[bytes]:
        """Return an object, piece by piece; `content` is None where it isn't wanted.

        Raises:
            FramingError: it has no such shape.
        """


class Framed:
    """One after another, for programs.

    With `lines` an object that isn't text is exactly its content: a newline would spoil it.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def message(self, message: Message) -> bytes:
        """Return it as one frame."""
        return encode(self._framing, message.body)

    def wants(self, reference: ObjectReference) -> bool:  # noqa: ARG002 - as all shapes
        """Say yes."""
        return True

    def object(
        self,
        message: Message,  # noqa: ARG002 - as all shapes
        reference: ObjectReference,
        content: BinaryIO | None,
    ) -> Iterator[bytes]:
        """Return its content as one frame."""
        assert content  # noqa: S101 - it was wanted
        size = _size(content)
        if self._framing is Framing.LENGTH32 and size > _LENGTH32_BYTES:
            raise FramingError(f"{reference}: {size:,} bytes don't fit into a frame of length32")
        if self._framing is Framing.LINES and not _is_text(reference):
            return _pieces(content)
        return encode_pieces(self._framing, size, _pieces(content))


class Seen:
    """On a terminal, for people: text without tricks, anything else in a few words."""

    def message(self, message: Message) -> bytes:
        """Return its text, or what it is."""
        text = console.text_of(message.body)
        if text is None:
            return _summary(len(message.body), message.content_type)
        return _harmless(text.removesuffix("\n")).encode() + b"\n"

    def wants(self, reference: ObjectReference) -> bool:
        """Say whether it may be text."""
        return _is_text(reference) or _is_small(reference)

    def object(
        self, message: Message, reference: ObjectReference, content: BinaryIO | None
    ) -> Iterator[bytes]:
        """Return its text, or what it is."""
        if content is None:
            return iter([_summary(reference.size, reference.content_type, f", {reference}")])
        if _is_text(reference):
            return _text(content)
        body, kind = content.read(), reference.content_type
        return iter([self.message(replace(message, body=body, content_type=kind))])


class Json:
    """One JSON object a line; a body that isn't text as base64."""

    def message(self, message: Message) -> bytes:
        """Return all that is known of it."""
        return _line({**_facts(message), **_body(message.body)})

    def wants(self, reference: ObjectReference) -> bool:
        """Say whether its content may stand beside the reference."""
        return _is_small(reference)

    def object(
        self, message: Message, reference: ObjectReference, content: BinaryIO | None
    ) -> Iterator[bytes]:
        """Return what is known of it: no body where it is large."""
        facts = {**_facts(message), "content_type": reference.content_type}
        body = {} if content is None else _body(content.read())
        return iter([_line({**facts, "reference": asdict(reference), **body})])


def _facts(message: Message) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "timestamp": message.timestamp,
        "content_type": message.content_type,
        "correlation_id": message.correlation_id,
        "headers": dict(message.headers),
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def _line(facts: dict[str, object]) -> bytes:
    return json.dumps(facts, default=str).encode() + b"\n"


def _is_text(reference: ObjectReference) -> bool:
    return (reference.content_type or "").startswith("text/")


def _is_small(reference: ObjectReference) -> bool:
    return reference.size is not None and reference.size <= _SHOWN_BYTES


def _size(content: BinaryIO) -> int:
    size = content.seek(0, 2)
    content.seek(0)
    return size


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while piece := content.read(_PIECE_BYTES):
        yield piece


def _text(content: BinaryIO) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    for piece in _pieces(content):
        text = decoder.decode(piece)
        yield _harmless(text).encode()
    if not text.endswith("\n"):
        yield _harmless(decoder.decode(b"", final=True)).encode() + b"\n"


def _summary(size: int | None, content_type: str | None, where: str = "") -> bytes:
    bytes_ = "some bytes" if size is None else f"{size:,} bytes"
    kind = content_type or "of no content type"
    return f"({bytes_}, {_harmless(kind)}{_harmless(where)})\n".encode()


def _harmless(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
