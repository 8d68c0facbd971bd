"""What came from programs and foreign clients, made harmless for people's eyes. Pure.

Nothing in it can act: templates escape it, and here whatever moves a cursor, hides, or turns the
direction of writing becomes a sign that can be seen.
"""

import json
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from manager.model import DeadLetter
from streams.message import Message

How = Literal["auto", "text", "json", "hex"]
#: So much of a text, or of a dump, is shown.
TEXT_CHARACTERS, DUMPED_BYTES = 16 * 1024, 2048
#: Larger ones aren't looked at as JSON, or as pictures.
_JSON_BYTES, _PICTURE_BYTES = 256 * 1024, 1024 * 1024
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_PLAIN = frozenset("\n\t")
_DELETE = 0x7F
_ROW = 16


@dataclass(frozen=True, slots=True)
class Shown:
    """A body to look at: `text`, or the data URL of a picture; how much of it isn't shown."""

    kind: Literal["text", "json", "hex", "picture"]
    text: str
    hidden_bytes: int = 0


def shown(message: Message, how: How = "auto") -> Shown:
    """Return a message's body as somebody wants to see it; what it can't be is dumped."""
    return shown_body(message.body, message.content_type, len(message.body), how)


def shown_letter(letter: DeadLetter) -> Shown:
    """Return a dead letter's body as what it is."""
    return shown_body(letter.body, letter.content_type, letter.size_bytes, "auto")


def shown_body(body: bytes, content_type: str | None, size_bytes: int, how: How) -> Shown:
    """Return a body, or its beginning, of `size_bytes` in all."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    whole = len(body) == size_bytes
    if how == "auto" and kind in _PICTURES and whole and size_bytes <= _PICTURE_BYTES:
        return Shown("picture", f"data:{kind};base64,{b64encode(body).decode()}")
    if how in {"auto", "json"} and (pretty := _json(body, sure=how == "json")) is not None:
        return _cut("json", pretty, size_bytes)
    text = None if how == "hex" else _text(body)
    if how == "text" and text is None:
        text = body[: 4 * TEXT_CHARACTERS].decode(errors="replace")
    if text is None:
        return Shown("hex", "\n".join(_dump(body)), max(0, size_bytes - DUMPED_BYTES))
    return _cut("text", text, size_bytes)


def visible(text: str) -> str:
    """Return text in which nothing is hidden and nothing acts."""
    return "".join(map(_visible, text))


def as_json(value: object) -> str:
    """Return JSON to look at and to copy: what hides or acts is written so that it can't."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(c if _visible(c) == c else json.dumps(c)[1:-1] for c in text)


def _visible(letter: str) -> str:
    if letter in _PLAIN or letter.isprintable():
        return letter
    if unicodedata.category(letter) in {"Zs", "Zl", "Zp"}:
        return " "
    return f"⟨U+{ord(letter):04X}⟩"


def _cut(kind: Literal["text", "json"], text: str, size_bytes: int) -> Shown:
    part = text[:TEXT_CHARACTERS]
    hidden = 0 if len(part) == len(text) else max(1, size_bytes - len(part.encode()))
    return Shown(kind, visible(part), hidden)


def _text(body: bytes) -> str | None:
    """Return the text that a body begins with, or None where it is none."""
    part = body[: 4 * TEXT_CHARACTERS]
    try:
        text = part.decode()
    except UnicodeDecodeError as error:
        if len(part) == len(body) or error.start < len(part) - 3:
            return None
        text = part[: error.start].decode()
    return None if "\0" in text else text + " " * (len(part) < len(body))


def _json(body: bytes, *, sure: bool) -> str | None:
    if len(body) > _JSON_BYTES or not (sure or body.lstrip()[:1] in {b"{", b"["}):
        return None
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _dump(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), DUMPED_BYTES), _ROW):
        row = body[start : start + _ROW]
        letters = "".join(chr(c) if ord(" ") <= c < _DELETE else "." for c in row)
        yield f"{start:08x}  {row.hex(' '):<47}  {letters}"
