"""A process definition as fields of a form: made from the model, so that each new field appears.

Pure. What is typed becomes what the API takes, and the model says what is wrong with it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from manager.console.forms import number
from manager.console.numbers import size
from manager.errors import InvalidError
from streams.definition import ProcessDefinition
from streams.errors import DefinitionError

Kind = Literal["text", "number", "choice", "lines", "pairs"]
#: What everybody fills in; the rest has defaults that are good for most.
FIRST = ("name", "application", "exec", "process_type", "description")
_LONG = frozenset({"exec", "description"})
_NUMBERS = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form; `limits.cpu_s` is within another. `given` is what it holds at first."""

    name: str
    label: str
    kind: Kind
    hint: str
    given: str
    nullable: bool
    required: bool
    long: bool
    choices: tuple[str, ...] = ()

    def value(self, text: str) -> Any:
        """Return what is meant by a text; what can't be meant is left as it is, to be refused."""
        # browsers send each end of a line as two characters
        text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
        match self.kind:
            case "number":
                return number(text.strip())
            case "lines":
                return text.split("\n") if (found := _as_json(text, "[")) is None else found
            case "pairs":
                pairs = (line.partition("=") for line in text.split("\n") if line.strip())
                found = _as_json(text, "{")
                return {name.strip(): v for name, _, v in pairs} if found is None else found
            case _:
                return text.strip()

    def text(self, value: Any) -> str:
        """Return the text that means a value."""
        match value:
            case None:
                return ""
            case list() | dict():
                items = [f"{n}={v}" for n, v in value.items()] if isinstance(value, dict) else value
                lines = "\n".join(items)
                plain = bool(lines) and self.value(lines) == value
                return lines if plain or value == {} else json.dumps(value, ensure_ascii=False)
            case _:
                return f"{value:g}" if isinstance(value, float) else str(value)


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields for a model's JSON schema."""
    return tuple(_fields(schema, schema.get("$defs", {}), "", ""))


def given() -> dict[str, str]:
    """Return what an empty form holds."""
    return {field.name: field.given for field in FIELDS}


def filled_with(definition: ProcessDefinition) -> dict[str, str]:
    """Return the form's fields for a definition."""
    document = definition.to_mapping()
    return {field.name: field.text(_found(document, field.name)) for field in FIELDS}


def document_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the inner document that a form means; what is empty has its default, or is none."""
    document: dict[str, Any] = {}
    for field in FIELDS:
        text = form.get(field.name, "")
        empty = not text.strip()
        if empty and not (field.nullable and field.name in form):
            continue
        place, path = document, field.name.split(".")
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = None if empty else field.value(text)
    return document


def definition_of(form: Mapping[str, str]) -> ProcessDefinition:
    """Return the definition that a form means.

    Raises:
        InvalidError: with every problem, each beginning with its field's name.
    """
    try:
        return ProcessDefinition.from_mapping(document_of(form))
    except DefinitionError as error:
        found = [problem.removeprefix("definition.") for problem in error.problems]
        raise InvalidError(found) from None


def unusual(definition: ProcessDefinition) -> list[tuple[Field, str]]:
    """Return what isn't as by default in words, but for what everybody fills in."""
    texts = filled_with(definition)
    return [
        (field, in_words(field.name, texts[field.name]))
        for field in FIELDS
        if field.name not in FIRST and texts[field.name] != field.given
    ]


def in_words(name: str, text: str) -> str:
    """Return what a field holds; of bytes also how much that is."""
    is_size = name.endswith("_bytes") and text.isdecimal()
    return f"{text} ({size(int(text))})" if is_size else text


def _fields(
    schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, above: str
) -> Iterable[Field]:
    for name, told in schema["properties"].items():
        shape = _shape(told, defs)
        label = _label(name, told)
        if "properties" in shape:
            yield from _fields(shape, defs, f"{prefix}{name}.", f"{label}: ")
            continue
        nullable = {"type": "null"} in told.get("anyOf", ())
        made = Field(
            name=f"{prefix}{name}",
            label=f"{above}{label}",
            kind=_kind(shape),
            hint=_hint(name, told, _kind(shape), nullable=nullable),
            given="",
            nullable=nullable,
            required=name in schema.get("required", ()),
            long=name in _LONG,
            choices=_choices(shape),
        )
        yield replace(made, given=made.text(told.get("default")))


def _label(name: str, told: Mapping[str, Any]) -> str:
    """Return the title that the model gives; it names a field that has none by itself."""
    words = name.replace("_", " ")
    title = str(told.get("title", ""))
    return title if title and title.lower() != words else words.capitalize()


def _shape(told: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a property is, beside null, wherever that is said."""
    for one in told.get("anyOf", ()):
        if one != {"type": "null"}:
            return _shape(one, defs)
    if "$ref" in told:
        found: Mapping[str, Any] = defs[told["$ref"].rpartition("/")[2]]
        return found
    return told


def _kind(shape: Mapping[str, Any]) -> Kind:
    if _choices(shape):
        return "choice"
    if shape.get("type") in _NUMBERS:
        return "number"
    kinds: dict[Any, Kind] = {"array": "lines", "object": "pairs"}
    return kinds.get(shape.get("type"), "text")


def _choices(shape: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, shape.get("enum", ())))


def _hint(name: str, told: Mapping[str, Any], kind: Kind, *, nullable: bool) -> str:
    how = {"lines": "one on each line; [] is none at all", "pairs": "NAME=value, one on each line"}
    said = [told.get("description", ""), how.get(kind, "")]
    default = told.get("default")
    if nullable and default is not None:
        said.append("empty: none")
    elif default not in (None, "") and kind == "number":
        said.append(f"empty: {in_words(name, str(default))}")
    return "; ".join(filter(None, said))


def _as_json(text: str, begins: str) -> Any:
    """Return what a text is as JSON, for what lines can't say; None: it isn't."""
    if not text.startswith(begins):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _found(document: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        document = document[part]
    return document


FIELDS = fields_of(ProcessDefinition.model_json_schema())
NAMES = tuple(field.name for field in FIELDS)
