"""What differs between versions of a process definition, field by field. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from manager.model import Definition
from streams.definition import ProcessDefinition


@dataclass(frozen=True, slots=True)
class Change:
    """A field, `limits.cpu_s` if it is one within another; None where it isn't there, or null."""

    field: str
    before: Any
    after: Any


def changes(before: ProcessDefinition, after: ProcessDefinition) -> list[Change]:
    """Return each field that differs, in the order of the form."""
    old, new = _flat(before.to_mapping()), _flat(after.to_mapping())
    return [
        Change(name, old.get(name), new.get(name))
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]


def with_changes(versions: Sequence[Definition]) -> list[tuple[Definition, list[Change]]]:
    """Return versions, the newest first, each with what it changed; nothing for the last one."""
    return [
        (one, changes(older.definition, one.definition) if older else [])
        for one, older in zip_longest(versions, versions[1:])
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        found |= {f"{prefix}{name}": value} if inner is None else inner
    return found
