"""Process definitions: what program an operation runs, and how. Every problem is named at once."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from streams.application import application_problem
from streams.errors import DefinitionError
from streams.framing import Framing

#: RabbitMQ closes the channel of a consumer that holds a message longer than 30 min; stay below.
LONGEST_HOLD_S = 25 * 60

_ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class ProcessType(StrEnum):
    """One process for each message, or one that is kept running."""

    SINGLE = "single"
    SERVICE = "service"


class Order(StrEnum):
    """Whether outputs leave in the order of their inputs."""

    FIFO = "fifo"
    NONE = "none"


class Replies(StrEnum):
    """How a service answers: any number of outputs, or exactly one for each input, in order."""

    ANY = "any"
    ONE = "one"


class Sandboxing(StrEnum):
    """What is built around a program: nothing; or no network, nothing to write but its folder."""

    NONE = "none"
    STRICT = "strict"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(_Strict):
    """Resource limits; None is no limit. Of each process, or of a whole program by a cgroup."""

    cpu_s: Annotated[int, Field(ge=1)] | None = Field(
        default=None, title="CPU seconds", description="of each process"
    )
    memory_bytes: Annotated[int, Field(ge=1024 * 1024)] | None = Field(
        default=None, description="of address space, for each process"
    )
    files: Annotated[int, Field(ge=8)] | None = Field(default=None, description="open at once")
    file_bytes: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="of the largest file that it may write"
    )
    processes: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="of a whole program, at once"
    )
    cpus: Annotated[float, Field(ge=0.01, allow_inf_nan=False)] | None = Field(
        default=None, title="CPUs", description="of a whole program: 0.5 is half a core"
    )


class ProcessDefinition(_Strict):
    """What an operation runs. `exec` alone is a line for `sh`; with `argv` there is no shell.

    What describes a field is help for whoever fills in a form.
    """

    name: Annotated[str, Field(min_length=1, max_length=200, description="what people find it by")]
    application: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="what a machine must offer to run it: an appliance, or NAME@HASH for one"
            " image of it; machines that offer 'any' run it under any name",
        ),
    ]
    exec: Annotated[
        str,
        Field(
            min_length=1,
            title="Program",
            description="a command line as in a shell, pipes allowed; with arguments below, the"
            " program alone",
        ),
    ]
    description: Annotated[str, Field(description="free text")] = ""
    process_type: ProcessType = Field(
        default=ProcessType.SINGLE,
        strict=False,
        title="Runs",
        description="single: a process for each message; service: one that is kept running",
    )
    argv: tuple[str, ...] | None = Field(
        default=None, strict=False, title="Arguments", description="given without a shell"
    )
    cwd: str | None = Field(
        default=None, title="Folder", description="where it starts; an empty one of its own"
    )
    environment: dict[Annotated[str, Field(pattern=_ENVIRONMENT_NAME)], str] = Field(
        default_factory=dict, description="variables that it finds"
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="processes at once; by default as many as cores, and one of a service",
    )
    order: Order = Field(
        default=Order.FIFO,
        strict=False,
        description="fifo: answers leave in the order of their messages; none: they overtake",
    )
    framing: Framing = Field(
        default=Framing.LINES, strict=False, description="how a service tells messages apart"
    )
    replies: Replies = Field(
        default=Replies.ANY,
        strict=False,
        description="what a service answers: any number of messages, or exactly one to each",
    )
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=60, description="seconds for an answer"
    )
    retries: Annotated[
        int, Field(ge=0, le=1000, description="attempts after the first, before a dead letter")
    ] = 3
    output_content_type: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="of what it makes; by default its input's"
    )
    max_output_bytes: Annotated[
        int, Field(ge=1, description="more than that from one message is a failure")
    ] = 1024**3
    limits: Limits = Limits()
    sandbox: Sandboxing = Field(
        default=Sandboxing.NONE,
        strict=False,
        description="strict: no network, nothing to write but its folder",
    )
    settle_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            allow_inf_nan=False,
            title="Settles after",
            description="seconds for which a quiet service still counts as working",
        ),
    ] = 2

    @field_validator("application")
    @classmethod
    def _pinned_well(cls, value: str) -> str:
        if wrong := application_problem(value):
            raise ValueError(wrong)
        return value

    @field_validator("exec", "cwd", "argv", "environment")
    @classmethod
    def _without_nul(cls, value: object) -> object:
        if "\0" in json.dumps(value).replace("\\u0000", "\0"):
            raise ValueError("must not contain NUL characters")
        return value

    @field_validator("cwd")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("must be an absolute path")
        return value

    @classmethod
    def from_mapping(cls, raw: object) -> Self:
        """Check the inner object of `{"definition": {...}}`.

        Raises:
            DefinitionError: with every problem, each beginning with the field's name.
        """
        if not isinstance(raw, Mapping):
            raise DefinitionError(["definition: must be an object"])
        try:
            return cls.model_validate(dict(raw))
        except ValidationError as error:
            raise DefinitionError(
                [problem(item, "definition") for item in error.errors()]
            ) from None

    @classmethod
    def from_document(cls, text: str | bytes) -> Self:
        """Check a whole document `{"definition": {...}}` as JSON text.

        Raises:
            DefinitionError: not JSON, something beside `definition`, or problems inside it.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DefinitionError([f"not JSON: {error}"]) from None
        if not isinstance(document, dict) or "definition" not in document:
            raise DefinitionError(['must be an object {"definition": {...}}'])
        odd = [f"{name}: unknown field" for name in sorted(set(document) - {"definition"})]
        try:
            definition = cls.from_mapping(document["definition"])
        except DefinitionError as error:
            raise DefinitionError([*odd, *error.problems]) from None
        if odd:
            raise DefinitionError(odd)
        return definition

    def to_mapping(self) -> dict[str, Any]:
        """Return the definition as plain JSON values, defaults included."""
        return self.model_dump(mode="json")


def problem(item: Mapping[str, Any], prefix: str = "") -> str:
    """Return one line for one of pydantic's errors: `definition.timeout: ...`."""
    where = ".".join(str(part) for part in (prefix, *item["loc"]) if part != "")
    match item["type"]:
        case "extra_forbidden":
            text = "unknown field"
        case "missing":
            text = "is missing"
        case _:
            text = str(item["msg"]).removeprefix("Value error, ")
            text = text[:1].lower() + text[1:]
    return f"{where}: {text}" if where else text
