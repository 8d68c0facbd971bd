"""An object reference: a message that only names an S3 object. Plain JSON, for anybody."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from streams.errors import ObjectReferenceError
from streams.message import OBJECT_REFERENCE, Message

_TEXTS = {"bucket": True, "key": True, "etag": False, "content_type": False}

#: AMQP's short strings hold no more.
_CONTENT_TYPE_BYTES = 255


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """Names one object; `etag` without quotes. Who writes it knows size and etag."""

    bucket: str
    key: str
    size: int | None = None
    etag: str | None = None
    content_type: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read the body of a reference; fields that aren't ours are left out.

        Raises:
            ObjectReferenceError: it can't be understood; names every problem.
        """
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise ObjectReferenceError("an object reference that isn't JSON") from None
        if not isinstance(data, dict):
            raise ObjectReferenceError("an object reference that isn't a JSON object")
        if problems := [*_text_problems(data), *_size_problems(data)]:
            raise ObjectReferenceError(f"an object reference with problems: {'; '.join(problems)}")
        etag = data.get("etag")
        return cls(
            bucket=data["bucket"],
            key=data["key"],
            size=data.get("size"),
            etag=etag.strip('"') if etag else None,
            content_type=data.get("content_type") or None,
        )

    def body(self) -> bytes:
        """Return the reference as a message's body."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    def message(self) -> Message:
        """Return a message that refers to the object."""
        return Message(self.body(), content_type=OBJECT_REFERENCE)


def _text_problems(data: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, needed in _TEXTS.items():
        value = data.get(name)
        if needed and not value:
            problems.append(f"{name}: is missing")
        elif value is not None and not (isinstance(value, str) and _is_unicode(value)):
            problems.append(f"{name}: must be text")
        elif name == "content_type" and value and not _is_header(value):
            problems.append(f"{name}: must be printable ASCII, {_CONTENT_TYPE_BYTES} at most")
    return problems


def _is_unicode(text: str) -> bool:
    """Say whether it is text; JSON can also spell halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_header(text: str) -> bool:
    """Say whether both AMQP and HTTP can carry it."""
    return text.isascii() and text.isprintable() and len(text) <= _CONTENT_TYPE_BYTES


def _size_problems(data: Mapping[str, Any]) -> list[str]:
    size = data.get("size")
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
        return []
    return ["size: must be a number of bytes"]
