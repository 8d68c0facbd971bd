"""From a pipeline's file to what has to change, and back from what is there to a file. Pure.

What the file doesn't name stays: streams, definitions, operations and archives, and options of the
last two (somebody may have typed `streamboss stop`). A definition is named with all its fields, as
when it is registered: a field left out has its default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from streams.definition import ProcessDefinition
from streams.names import EVENTS_STREAM
from tools.pipeline_file import (
    ARCHIVE_OPTIONS,
    OPTIONS,
    Json,
    PipelineError,
    Wanted,
    WantedArchive,
    WantedOperation,
    option,
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A process definition that the manager has."""

    id: int
    owner: str
    definition: ProcessDefinition


@dataclass(frozen=True, slots=True)
class Present:
    """What the manager has, as `user` sees it. Streams and operations: as it shows them."""

    user: str
    streams: Mapping[str, Json] = field(default_factory=dict)
    definitions: Sequence[Registered] = ()
    operations: Mapping[str, Json] = field(default_factory=dict)
    archives: Mapping[str, Json] = field(default_factory=dict)

    def choices(self, name: str) -> list[Registered]:
        """Return the user's own definitions of this name that count, oldest first.

        Names aren't unique: those that operations use count or, where none does, the newest.

        Raises:
            PipelineError: several in use differ, so that the name says too little.
        """
        own = [d for d in self.definitions if d.owner == self.user and d.definition.name == name]
        used = [d for d in own if self.users_of(d)]
        if any(d.definition != used[0].definition for d in used):
            ids = ", ".join(str(d.id) for d in used)
            raise PipelineError(
                [f"definition {name!r}: {ids} have this name and differ: give each its own"]
            )
        return used or own[-1:]

    def users_of(self, registered: Registered) -> list[str]:
        """Return the operations that use a definition."""
        found = self.operations.items()
        return [name for name, its in found if its["process_definition_id"] == registered.id]


class Act(StrEnum):
    """What becomes of a thing; the value is its mark."""

    CREATE = "+"
    CHANGE = "~"
    KEEP = "="


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one thing: `fields` from old to new, `body` what the manager is told."""

    act: Act
    kind: str
    name: str
    fields: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    #: definitions: those to change
    ids: tuple[int, ...] = ()
    #: operations: the definition that they get, 0 if it isn't there yet
    definition_id: int = 0
    #: operations whose program starts anew
    restarts: tuple[str, ...] = ()


def plan(wanted: Wanted, present: Present) -> list[Change]:
    """Return what happens to each thing, in the order in which it must.

    Raises:
        PipelineError: something can't be done, with every reason; then nothing should be.
    """
    changes: list[Change] = []
    problems: list[str] = []
    changes += [_stream(name, present) for name in _streams(wanted)]
    for definition in wanted.definitions:
        try:
            changes.append(_definition(definition, present))
        except PipelineError as error:
            problems += error.problems
    named = {definition.name for definition in wanted.definitions}
    for operation in wanted.operations:
        try:
            changes.append(_operation(operation, named, present))
        except PipelineError as error:
            problems += error.problems
    changes += [_archive(archive, present) for archive in wanted.archives]
    if problems:
        raise PipelineError(list(dict.fromkeys(problems)))
    return changes


def _streams(wanted: Wanted) -> list[str]:
    """Return the file's streams, and those that only its operations and archives name."""
    used = [s for o in wanted.operations for s in (o.input_stream, o.output_stream)]
    used += [archive.stream for archive in wanted.archives]
    return [s for s in dict.fromkeys((*wanted.streams, *used)) if s != EVENTS_STREAM]


def _stream(name: str, present: Present) -> Change:
    return Change(Act.KEEP if name in present.streams else Act.CREATE, "stream", name)


def _definition(wanted: ProcessDefinition, present: Present) -> Change:
    body = {"definition": wanted.to_mapping()}
    found = present.choices(wanted.name)
    if not found:
        return Change(Act.CREATE, "definition", wanted.name, body=body)
    other = [d for d in found if d.definition != wanted]
    if not other:
        return Change(Act.KEEP, "definition", wanted.name)
    return Change(
        Act.CHANGE,
        "definition",
        wanted.name,
        fields=_difference(_shown(other[0].definition), _shown(wanted)),
        body=body,
        ids=tuple(d.id for d in other),
        restarts=tuple(name for d in other for name in present.users_of(d)),
    )


def _operation(wanted: WantedOperation, named: set[str], present: Present) -> Change:
    choices = present.choices(wanted.definition)
    if not choices and wanted.definition not in named:
        where = f"operations.{wanted.name!r}.definition"
        text = f"{where}: {wanted.definition!r} is neither in the file nor among your definitions"
        raise PipelineError([text])
    chosen = choices[-1].id if choices else 0
    found = present.operations.get(wanted.name)
    if found is None:
        body = {
            "input_stream": wanted.input_stream,
            "output_stream": wanted.output_stream,
            "definition": wanted.definition,
            **wanted.options(),
        }
        return Change(Act.CREATE, "operation", wanted.name, body=body, definition_id=chosen)
    _same_streams(wanted, found)
    body = _different_options(wanted, found)
    fields = _difference({name: found[name] for name in body}, body)
    now = found["process_definition_id"]
    if now not in {d.id for d in choices}:
        body["definition"] = wanted.definition
        fields = {"definition": (_called(now, present), wanted.definition), **fields}
    if not body:
        return Change(Act.KEEP, "operation", wanted.name)
    restarts = (wanted.name,) if "definition" in body else ()
    return Change(
        Act.CHANGE,
        "operation",
        wanted.name,
        fields,
        body,
        definition_id=chosen,
        restarts=restarts,
    )


def _archive(wanted: WantedArchive, present: Present) -> Change:
    """Return what becomes of an archive; an option that the file doesn't name stays."""
    found = present.archives.get(wanted.stream)
    named = wanted.model_dump(mode="json", include=wanted.model_fields_set - {"stream"})
    if found is None or found["state"] in {"stopping", "stopped"}:
        return Change(Act.CREATE, "archive", wanted.stream, body=named)
    now = {name: found[name] for name in ARCHIVE_OPTIONS}
    fields = _difference({name: now[name] for name in named}, named)
    if not fields:
        return Change(Act.KEEP, "archive", wanted.stream)
    return Change(Act.CHANGE, "archive", wanted.stream, fields, body={**now, **named})


def _same_streams(wanted: WantedOperation, found: Json) -> None:
    asked = {"input_stream": wanted.input_stream, "output_stream": wanted.output_stream}
    problems = [
        f"operations.{wanted.name!r}.{name}: is {found[name]!r} and can't become {new!r}: give the"
        f" operation another name, or remove it first: streamboss remove-operation {wanted.name}"
        for name, new in asked.items()
        if found[name] != new
    ]
    if problems:
        raise PipelineError(problems)


def _different_options(wanted: WantedOperation, found: Json) -> dict[str, Any]:
    options = wanted.options()
    return {n: value for n, value in options.items() if value != option(n, found[n])}


def _called(number: int, present: Present) -> str:
    names = [d.definition.name for d in present.definitions if d.id == number]
    return f"{names[0]} (id {number})" if names else f"id {number}"


def _shown(definition: ProcessDefinition) -> dict[str, Any]:
    """Return a definition's fields. Values of its environment may be secret: they stay away."""
    fields = definition.to_mapping()
    fields["environment"] = dict(definition.environment)
    return fields


def _difference(old: Json, new: Json) -> dict[str, tuple[object, object]]:
    found: dict[str, tuple[object, object]] = {}
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name == "environment":
            found |= _secretly(before or {}, after or {})
        elif isinstance(before, dict) and isinstance(after, dict):
            inner = _difference(before, after)
            found |= {f"{name}.{part}": pair for part, pair in inner.items()}
        else:
            found[name] = (before, after)
    return found


def _secretly(old: Json, new: Json) -> dict[str, tuple[object, object]]:
    return {
        f"environment.{name}": (
            "(set)" if name in old else None,
            "(set anew)" if name in old and name in new else "(set)" if name in new else None,
        )
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def export(present: Present) -> dict[str, Any]:
    """Return the user's own pipeline as the content of a file that `apply` takes back unchanged.

    Raises:
        PipelineError: a file can't say it, with every reason.
    """
    own = {n: its for n, its in sorted(present.operations.items()) if its["owner"] == present.user}
    names, problems = _definition_names(own, present)
    chosen: dict[str, ProcessDefinition] = {}
    for definition in present.definitions:
        name = definition.definition.name
        if definition.owner != present.user or name in chosen:
            continue
        try:
            chosen[name] = present.choices(name)[-1].definition
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(list(dict.fromkeys(problems)))
    used = {its[end] for its in own.values() for end in ("input_stream", "output_stream")}
    mine = {n for n, its in present.streams.items() if its["owner"] == present.user}
    archives = _written_archives(present)
    return {
        "streams": sorted((used | mine) - {EVENTS_STREAM}),
        "definitions": [d.model_dump(mode="json", exclude_defaults=True) for d in chosen.values()],
        "operations": [_written(its, names[name]) for name, its in own.items()],
        **({"archives": archives} if archives else {}),
    }


def _written_archives(present: Present) -> list[dict[str, Any]]:
    """Return the user's archives that are being recorded."""
    return [
        {"stream": stream, **{name: its[name] for name in ARCHIVE_OPTIONS}}
        for stream, its in sorted(present.archives.items())
        if its["owner"] == present.user and its["state"] in {"recording", "waiting"}
    ]


def _definition_names(
    operations: Mapping[str, Json], present: Present
) -> tuple[dict[str, str], list[str]]:
    names, problems = {}, []
    visible = {d.id: d for d in present.definitions if d.owner == present.user}
    for name, its in operations.items():
        number = its["process_definition_id"]
        if number in visible:
            names[name] = visible[number].definition.name
        else:
            problems.append(
                f"operation {name!r}: uses definition {number}, not one of {present.user!r}:"
                " let its owner export it, or register one of your own"
            )
    return names, problems


def _written(found: Json, definition: str) -> dict[str, Any]:
    ends = {end: found[end] for end in ("input_stream", "output_stream")}
    options = {name: option(name, found[name]) for name in OPTIONS}
    return {"name": found["name"], "definition": definition, **ends, **options}
