"""The file of a pipeline: what may stand in it, read and written. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from manager.options import ArchiveOptions, OperationName, OperationOptions, StreamName, Strict
from streams.definition import ProcessDefinition, problem
from streams.errors import StreamsError
from streams.names import EVENTS_STREAM

Json = Mapping[str, Any]

#: What of an operation may change, and is written to a file.
ARCHIVE_OPTIONS = ("passive", "keep_days")
OPTIONS = ("demand", "instances", "linger_s", "drain_s", "backlog")


class PipelineError(StreamsError):
    """A pipeline that can't be; `problems` holds one line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class WantedOperation(OperationOptions):
    """An operation of the file; `definition` is the name of one."""

    name: OperationName
    definition: str
    input_stream: StreamName
    output_stream: StreamName

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.output_stream == EVENTS_STREAM:
            raise ValueError(f"output_stream: {EVENTS_STREAM!r} is the manager's own")
        if self.output_stream == self.input_stream:
            raise ValueError(
                f"output_stream: must differ from its input stream ({self.input_stream!r}):"
                " it would feed itself"
            )
        return self

    def options(self) -> dict[str, Any]:
        """Return the options that the file names."""
        plain = self.model_dump(mode="json")
        return {n: option(n, plain[n]) for n in OPTIONS if n in self.model_fields_set}


class WantedArchive(ArchiveOptions):
    """An archive of the file."""

    stream: StreamName


def option(name: str, value: Any) -> Any:
    """Return an operation's option as files have it: a backlog without any bound is none."""
    if name == "backlog" and value and all(bound is None for bound in value.values()):
        return None
    return value


class Wanted(Strict):
    """The whole file."""

    streams: list[StreamName] = Field(default_factory=list)
    definitions: list[ProcessDefinition] = Field(default_factory=list)
    operations: list[WantedOperation] = Field(default_factory=list)
    archives: list[WantedArchive] = Field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML would take the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - its signature
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key.value, str) and key.value in seen:
                problem = f"{key.value!r} stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse(text: str) -> Wanted:
    """Return what a file asks for.

    Raises:
        PipelineError: with every problem, each beginning with its place.
    """
    raw = _load(text)
    if not isinstance(raw, dict):
        raise PipelineError(["must have 'streams', 'definitions', 'operations' or 'archives'"])
    try:
        wanted = Wanted.model_validate(raw)
    except ValidationError as error:
        items = error.errors()
        raise PipelineError([problem({**i, "loc": _place(raw, i["loc"])}) for i in items]) from None
    if twice := list(_twice(wanted)):
        raise PipelineError(twice)
    return wanted


def _load(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise PipelineError([f"{place}{error.problem or error.context}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PipelineError([f"not YAML: {' '.join(str(error).split())}"]) from None


def _place(raw: object, loc: Sequence[int | str]) -> list[str]:
    """Return where a problem is, with names instead of numbers where things have one."""
    place = []
    for part in loc:
        if isinstance(raw, list) and isinstance(part, int):
            raw = raw[part]
            name = raw.get("name", raw.get("stream")) if isinstance(raw, dict) else None
            place.append(repr(name) if isinstance(name, str) else f"#{part + 1}")
        else:
            raw = raw.get(part) if isinstance(raw, dict) else None
            place.append(str(part))
    return place


def _twice(wanted: Wanted) -> Iterator[str]:
    kinds = {
        "streams": wanted.streams,
        "definitions": [d.name for d in wanted.definitions],
        "operations": [o.name for o in wanted.operations],
        "archives": [a.stream for a in wanted.archives],
    }
    for kind, names in kinds.items():
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            yield f"{kind}.{name!r}: stands twice"


def to_yaml(document: Json) -> str:
    """Return a document as the text of a file."""
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
    return f"# a pipeline of Streamboss: 'streamboss apply FILE' makes it so\n{text}"
