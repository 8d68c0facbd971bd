"""What of a message goes into a program, and what comes out. Pure."""

import codecs
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from streams.message import OWN_HEADER

OCTETS = "application/octet-stream"
SERVICE_TYPE = "text/plain"
#: What RabbitMQ adds by itself, or routes by: none of it belongs to the message.
_BROKERS = frozenset({"x-death", "x-delivery-count", "x-acquired-count", "CC", "BCC"})
_BROKERS_PREFIXES = ("x-first-death-", "x-last-death-")


def is_text(content_type: object) -> bool:
    """Say whether a content type is one of `text/*`."""
    return isinstance(content_type, str) and content_type[:5].lower() == "text/"


def to_stdin(body: bytes, content_type: object) -> bytes:
    """Return what a `single` program reads: a text is a line, everything else itself."""
    return body + b"\n" if is_text(content_type) else body


def from_stdout(stdout: bytes, content_type: str | None) -> tuple[bytes, str | None]:
    """Return the answer of a `single` program and its content type.

    What isn't UTF-8 is no text, whatever was declared, so that it keeps its last newline, too.
    """
    if not is_text(content_type):
        return stdout, content_type
    if not _is_utf8(stdout):
        return stdout, OCTETS
    return stdout[:-1] if stdout.endswith(b"\n") else stdout, content_type


def beginning_type(beginning: bytes, content_type: str | None) -> str | None:
    """Return the content type of an output of which only the beginning is known."""
    if is_text(content_type):
        try:
            codecs.getincrementaldecoder("utf-8")().decode(beginning)
        except UnicodeDecodeError:
            return OCTETS
    return content_type


def frame_type(frame: bytes, content_type: str) -> str:
    """Return the content type of a service's output."""
    return content_type if not is_text(content_type) or _is_utf8(frame) else OCTETS


def kept_headers(headers: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """Return the user's headers: without the broker's, and without our marks."""
    if not headers:
        return {}
    return {name: value for name, value in headers.items() if _is_users(name)}


@lru_cache(maxsize=1024)
def _is_users(name: object) -> bool:
    if not isinstance(name, str):
        return True
    return name not in _BROKERS and not name.startswith((OWN_HEADER, *_BROKERS_PREFIXES))


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
