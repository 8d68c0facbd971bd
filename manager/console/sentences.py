"""What happened as sentences, each with its cause, and links to the things. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from manager.console import numbers
from manager.events import Event
from streams import names
from streams.names import QueueRole


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a sentence; one with a `place` leads there."""

    text: str
    place: str = ""


Pieces = tuple[Piece, ...]
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, and why where somebody knows."""

    what: Pieces
    why: Pieces = ()
    state: str = ""


#: Where things of a kind are shown.
_PLACES = {
    "operation": "/operations/{}/",
    "stream": "/streams/{}/",
    "archive": "/streams/{}/",
    "definition": "/definitions/{}/",
    "node": "/nodes/{}/",
    "machine": "/nodes/{}/",
    "build": "/builds/{}/",
    "cloud": "/clouds/#{}",
    "image": "/images/?find={}",
}
_TITLES = {
    "archive": "The archive of",
    "trial": "A trial of",
    "definition": "Process definition",
    "cloud": "Cloud",
    "image": "Image",
}
#: What was done to a thing, in words; `_more` says what the fields say.
_DEEDS = {
    "created": "was created",
    "added": "was added",
    "asked": "was asked for",
    "removed": "was removed",
    "changed": "was changed",
    "revoked": "was revoked",
    "purged": "was emptied",
    "dead-letters": "gave messages up",
    "dead-letters-purged": "lost its dead letters",
    "begun": "was begun",
    "ended": "was ended",
    "paused": "was paused",
    "resumed": "was resumed",
    "cancelled": "was cancelled",
    "renewed": "was renewed",
    "drained": "was told to drain",
    "message-published": "got a message by hand",
    "lease-ends": "will end soon",
    "lease-over": "was past its lease",
    "lease-moved": "has a lease with another end",
    "step": "goes on",
}
_STATES = frozenset({"state", "phase"})
_ROLES = {
    QueueRole.CONSUMER: "a consumer of",
    QueueRole.SUBSCRIPTION: "a subscription of",
    QueueRole.ARCHIVE: "the archive of",
}
#: Fields that say why, or that the sentence has already.
_SAID = frozenset({"from", "to", "reason", "nodes", "wanted_by", "changes", "more"})


def told(event: Event) -> Told:
    """Return an event as a sentence."""
    what = event.event.partition(".")[2]
    if what in _STATES:
        return _state(event)
    if what == "redriven":
        return _redriven(event)
    verb = _DEEDS.get(what, what.replace("-", " "))
    more = _more(event.fields)
    pieces = (*_thing(event.kind, event.name), Piece(f" {verb}"), *more)
    return Told(pieces, _reason(event.fields), str(event.fields.get("state") or ""))


def _redriven(event: Event) -> Told:
    count = event.fields.get("messages")
    letters = _counted("dead letter")(count) if count else (Piece("dead letters"),)
    had = (Piece(" had "), *letters, Piece(" sent back to it"))
    return Told((*_thing(event.kind, event.name), *had))


def _state(event: Event) -> Told:
    after, before = str(event.fields.get("to")), event.fields.get("from")
    pieces = (*_thing(event.kind, event.name), Piece(f" is {after}"))
    if nodes := [str(node) for node in event.fields.get("nodes") or ()]:
        pieces += (Piece(" on "), *_listed(_link("node", node) for node in nodes))
    if cloud := event.fields.get("cloud"):
        pieces += (Piece(f" ({cloud})"),)
    if before:
        pieces += (Piece(f", was {before}"),)
    wanted = event.fields.get("wanted_by") or ()
    reason = _reason(event.fields)
    if wanted:
        by = _listed(_wanting(str(one)) for one in wanted)
        reason = (Piece("wanted by "), *by, *((Piece("; "), *reason) if reason else ()))
    return Told(pieces, reason, after)


def _thing(kind: str, name: str) -> Pieces:
    if kind in {"subscription", "replay"}:
        stream = name.partition("/")[0] if kind == "subscription" else ""
        place = _place("stream", stream) if stream else ""
        return (Piece(f"{kind.capitalize()} "), Piece(name, place))
    title = _TITLES.get(kind, kind.capitalize())
    return (Piece(f"{title} "), *_link(kind, name))


def _link(kind: str, name: str) -> Pieces:
    return (Piece(name, _place(kind, name)),)


def _place(kind: str, name: str) -> str:
    place = _PLACES.get(kind)
    return place.format(quote(name, safe="")) if place and name else ""


def _reason(fields: Fields) -> Pieces:
    reason = str(fields.get("reason") or "")
    return (Piece(reason),) if reason else ()


def _wanting(who: str) -> Pieces:
    """Return who wants what an operation makes: a queue outside, or another operation."""
    kind, _, name = who.partition(" ")
    if kind == "operation" and name:
        return (Piece("operation "), *_link("operation", name))
    if who == "demand: always":
        return (Piece("a person, who launched it"),)
    queue = names.parse_queue(who)
    if queue.role in _ROLES:
        return (Piece(f"{_ROLES[queue.role]} "), *_link("stream", queue.owner), Piece(f" ({who})"))
    return (Piece(who),)


def _listed(items: Iterable[Pieces]) -> Pieces:
    found = list(items)
    return tuple(
        piece
        for number, item in enumerate(found)
        for piece in ((Piece(", "),) if number else ()) + item
    )


def _more(fields: Fields) -> Pieces:
    """Return what an event says besides: known fields in words, others by their names."""
    changes = fields.get("changes")
    if isinstance(changes, Mapping):
        return (Piece(": "), Piece(", ".join(f"{n}: {_plain(v)}" for n, v in changes.items())))
    said = [
        _WORDS[name](value) if name in _WORDS else (Piece(f"{name}: {_plain(value)}"),)
        for name, value in fields.items()
        if name not in _SAID and value not in (None, "", [], {}, False)
    ]
    return (Piece(": "), *_listed(said)) if said else ()


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "nothing" if value is None else str(value)


def _counted(word: str) -> Callable[[Any], Pieces]:
    return lambda value: (Piece(f"{value:,} {word}{'s' * (value != 1)}"),)


def _linked(title: str, kind: str) -> Callable[[Any], Pieces]:
    return lambda value: (Piece(f"{title} "), *_link(kind, str(value)))


_WORDS: Mapping[str, Callable[[Any], Pieces]] = {
    "messages": _counted("message"),
    "dead_letters": _counted("dead letter"),
    "hours": lambda value: (Piece(f"for {value:g} hours from then"),),
    "within_hours": lambda value: (Piece(f"within {value:g} hours"),),
    "size_bytes": lambda value: (Piece(numbers.size(value)),),
    "duration_s": lambda value: (Piece(numbers.duration(value)),),
    "input_stream": _linked("from", "stream"),
    "output_stream": _linked("to", "stream"),
    "stream": _linked("of", "stream"),
    "onto": _linked("onto", "stream"),
    "process_definition_id": _linked("definition", "definition"),
    "definition": lambda value: (Piece(str(value)),),
    "appliance": lambda value: (Piece(f"appliance {value}"),),
    "cloud": _linked("on", "cloud"),
    "until": lambda value: (Piece(numbers.exact(numbers.moment(str(value)))),),
    "step": lambda value: (Piece(str(value)),),
    "state": lambda value: (Piece(str(value)),),
    "lease_hours": lambda value: (Piece(f"for {value:g} hours at most"),),
    "launched": lambda _: (Piece("its machine ends, too"),),
    "at_once": lambda _: (Piece("without draining"),),
}
