"""Attempts to create something on a cloud, as the journal's records tell of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any


class Thing(StrEnum):
    """What a cloud can hold for us."""

    MACHINE = "machine"
    IMAGE = "image"
    KEY = "key"
    GROUP = "group"


class Status(StrEnum):
    """How far one attempt to create something got."""

    INTENT = "intent"  # it may exist or not: only the cloud knows
    DONE = "done"  # it existed; `id` says as what
    REMOVING = "removing"  # an image is going; `parts` say what must go with it
    FAILED = "failed"  # it never existed
    UNDONE = "undone"  # it is gone


#: How the events of one attempt follow on each other.
_ORDER = ("intent", "done", "changed", "kept", "removing", "failed", "undone")
#: The attempt is over and leaves nothing behind.
CLOSED = frozenset({Status.FAILED, Status.UNDONE})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that creates something, as the journal knows it. `live`: its run still runs."""

    id: str
    run: str
    live: bool
    status: Status
    thing: Thing
    cloud: str
    name: str
    at: datetime
    thing_id: str = ""
    kept: bool = False  # somebody wants it in spite of its run's end
    tags: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def fold(records: Iterable[tuple[str, bool, Mapping[str, Any]]]) -> dict[str, Attempt]:
    """Return what `records` (run, whether it runs, record) say of each attempt that isn't over."""
    known: dict[str, Attempt] = {}
    for run, live, record in sorted(records, key=lambda entry: _place(entry[2])):
        key = record["attempt"]
        if record["event"] == Status.INTENT:
            known[key] = _intent(run, live, record)
        elif key in known:
            known[key] = _later(known[key], record)
    return {key: attempt for key, attempt in known.items() if attempt.status not in CLOSED}


def _place(record: Mapping[str, Any]) -> tuple[int, str, int]:
    """Return where a record stands: by what it says first, for clocks may go back."""
    return (_ORDER.index(record["event"]), record["t"], record["seq"])


def _intent(run: str, live: bool, record: Mapping[str, Any]) -> Attempt:  # noqa: FBT001
    return Attempt(
        id=record["attempt"],
        run=run,
        live=live,
        status=Status.INTENT,
        thing=Thing(record["thing"]),
        cloud=record["cloud"],
        name=record["name"],
        at=datetime.fromisoformat(record["t"]),
        tags=record["tags"],
    )


def _later(attempt: Attempt, record: Mapping[str, Any]) -> Attempt:
    event = record["event"]
    if event == "changed":
        return replace(attempt, tags={**attempt.tags, **record["tags"]})
    if event == "kept":
        return replace(attempt, kept=True)
    if attempt.status in CLOSED:
        return attempt  # what is gone stays gone
    return replace(
        attempt,
        status=Status(event),
        thing_id=record.get("thing_id", attempt.thing_id),
        parts=tuple(record.get("parts", attempt.parts)),
    )
