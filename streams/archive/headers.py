"""Headers of every AMQP type as strings, and back. Pure.

A string is written as it is, everything else as JSON text. What JSON has no word for is an object
with one field whose name begins with `$`:

    bytes       {"$bytes": "<base64>"}          time   {"$time": "2026-11-25T10:15:00+00:00"}
    decimal     {"$decimal": "1.50"}            a number that isn't finite  {"$double": "nan"}
    a 64-bit integer that would fit into 32 bits  {"$long": 5}
    a time that no calendar has  {"$seconds": 1700000000000}
    a table or list too deep to look into, as AMQP spells it  {"$deep": "<base64>"}
    a table with a name that begins with `$`      {"$table": {...}}
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from streams.broker.fields import Deep, FarTime, Int64

#: What the broker adds to a message that it delivers again; no header of the message's own.
_DELIVERY_COUNT = "x-delivery-count"
_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(headers: Mapping[Any, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return `headers` as strings, and the names of those that are JSON, sorted."""
    strings: dict[str, str] = {}
    as_json: list[str] = []
    for raw_name, value in headers.items():
        name = text_of(raw_name)
        if name == _DELIVERY_COUNT:
            continue
        if isinstance(value, str):
            strings[name] = value
        else:
            strings[name] = _json(value)
            as_json.append(name)
    return strings, tuple(sorted(as_json))


def decode(strings: Mapping[str, str], as_json: tuple[str, ...]) -> dict[str, Any]:
    """Return the headers that `encode` was given.

    Raises:
        ValueError: a header that should be JSON isn't, or isn't ours.
    """
    if not as_json:
        return dict(strings)
    typed = frozenset(as_json)
    return {name: _loaded(text) if name in typed else text for name, text in strings.items()}


def text_of(name: str | bytes) -> str:
    """Return a name as text: pika leaves bytes where a foreign client didn't write UTF-8."""
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")


def _loaded(text: str) -> Any:
    # the usual case, our own time of publication, without the machinery
    return int(text) if text.isascii() and text.isdigit() else _value(json.loads(text))


def _json(value: Any) -> str:
    plain = _plain(value)
    # the usual case, our own time of publication, without the machinery
    return str(plain) if type(plain) is int else _TO_JSON(plain)


def _plain(value: Any) -> Any:
    """Return an AMQP value in JSON's own types."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return _integer(value)
        case float():
            return value if isfinite(value) else {"$double": str(value)}
        case list():
            return [_plain(item) for item in value]
        case dict():
            table = {text_of(name): _plain(item) for name, item in value.items()}
            return {"$table": table} if any(n.startswith("$") for n in table) else table
        case _:
            return _tagged(value)


def _integer(value: int) -> Any:
    if isinstance(value, FarTime):
        return {"$seconds": int(value)}
    small = -(2**31) <= value < 2**31
    return {"$long": int(value)} if isinstance(value, Int64) and small else int(value)


def _tagged(value: Any) -> dict[str, str]:
    match value:
        case Deep():
            return {"$deep": b64encode(value).decode()}
        case bytes():
            return {"$bytes": b64encode(value).decode()}
        case Decimal():
            return {"$decimal": str(value)}
        case datetime():
            instant = value if value.tzinfo else value.replace(tzinfo=UTC)
            return {"$time": instant.astimezone(UTC).isoformat()}
    raise TypeError(f"a header of type {type(value).__name__}: AMQP has none")


def _value(plain: Any) -> Any:
    """Return what `_plain` was given."""
    match plain:
        case list():
            return [_value(item) for item in plain]
        case dict():
            ((tag, content),) = plain.items() if len(plain) == 1 else (("", None),)
            if tag.startswith("$"):
                return _UNTAG[tag](content)
            return {name: _value(item) for name, item in plain.items()}
    return plain


_UNTAG: Mapping[str, Callable[[Any], Any]] = {
    "$bytes": b64decode,
    "$decimal": Decimal,
    "$deep": lambda text: Deep(b64decode(text)),
    "$time": datetime.fromisoformat,
    "$double": float,
    "$long": Int64,
    "$seconds": FarTime,
    "$table": lambda table: {name: _value(item) for name, item in table.items()},
}
