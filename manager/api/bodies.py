"""What clients send: read within bounds, checked as a whole, every problem named at once."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Self, TypeVar

from fastapi import Depends, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from starlette.exceptions import HTTPException

from manager.errors import InvalidError
from manager.model import DemandMode, Role
from streams.control import ANY_APPLICATION
from streams.definition import ProcessDefinition, problem
from streams.names import Kind, name_problem

MAX_BODY_BYTES = 1024 * 1024
_BODY_S = 30
MAX_ID = 2**31 - 1
#: RabbitMQ's longest message TTL: 32 bits of milliseconds
_MAX_AGE_S = 4_294_967
_DAY_S = 86_400

BodyT = TypeVar("BodyT", bound=BaseModel)


def _legal(kind: Kind, name: str) -> str:
    if text := name_problem(kind, name):
        raise ValueError(text)
    return name


_SHAPE = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"})
_StreamName = Annotated[str, AfterValidator(partial(_legal, "stream")), _SHAPE]
_OperationName = Annotated[str, AfterValidator(partial(_legal, "operation")), _SHAPE]
_NodeName = Annotated[str, AfterValidator(partial(_legal, "node")), _SHAPE]
_UserName = Annotated[str, AfterValidator(partial(_legal, "user")), _SHAPE]
_Id = Annotated[int, Field(ge=1, le=MAX_ID)]
_Demand = Annotated[DemandMode, Field(strict=False)]
_Seconds = Annotated[float, Field(ge=0, le=30 * _DAY_S, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1, le=10**12)]
_Password = Annotated[str, Field(min_length=1, max_length=1000)]
_Role = Annotated[Role, Field(strict=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DefinitionBody(_Body):
    """A process definition."""

    definition: ProcessDefinition


class StreamBody(_Body):
    """A stream."""

    name: _StreamName


class InstancesBody(_Body):
    """How many operators an operation may have."""

    min: Annotated[int, Field(ge=1, le=1000)] = 1
    max: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max must be at least min ({self.min})")
        return self


class BacklogBody(_Body):
    """What an operation's queue may hold before it drops its oldest; null is no bound."""

    max_messages: _Count | None = None
    max_bytes: _Count | None = None
    max_age_s: Annotated[float, Field(gt=0, le=_MAX_AGE_S, allow_inf_nan=False)] | None = None


class OperationBody(_Body):
    """An operation."""

    name: _OperationName
    process_definition_id: _Id
    input_stream: _StreamName
    output_stream: _StreamName
    demand: _Demand = DemandMode.CONSUMERS
    instances: InstancesBody = InstancesBody()
    linger_s: _Seconds = 30.0
    drain_s: _Seconds = 30.0
    backlog: BacklogBody | None = None


class OperationPatch(_Body):
    """What may change about an operation; what isn't named stays as it is."""

    process_definition_id: _Id = 1
    demand: _Demand = DemandMode.CONSUMERS
    instances: InstancesBody = InstancesBody()
    linger_s: _Seconds = 30.0
    drain_s: _Seconds = 30.0
    backlog: BacklogBody | None = None


class NodeBody(_Body):
    """A node."""

    name: _NodeName
    offers: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(min_length=1, max_length=100),
    ] = [ANY_APPLICATION]
    slots: Annotated[int, Field(ge=1, le=10_000)] = 200


class UserBody(_Body):
    """A user."""

    name: _UserName
    password: _Password
    role: _Role = Role.USER


class UserPatch(_Body):
    """What may change about a user."""

    password: _Password | None = None
    role: _Role | None = None


class RedriveBody(_Body):
    """How many dead letters to give back; null is all."""

    limit: _Count | None = None


async def read(request: Request) -> bytes:
    """Return the body.

    Raises:
        HTTPException: it is too big (413), too slow (408), or isn't JSON by its own word (415).
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json" and not kind.lower().endswith("+json"):
        raise HTTPException(415, f"content type {kind!r}: send application/json")
    raw = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                raw += piece
                if len(raw) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"over {MAX_BODY_BYTES} bytes: send less")
    except TimeoutError:
        raise HTTPException(408, f"the body took more than {_BODY_S} s") from None
    return bytes(raw)


Body = Annotated[bytes, Depends(read)]


def parse(kind: type[BodyT], raw: bytes) -> BodyT:
    """Return the body as what it should be.

    Raises:
        InvalidError: with every problem.
    """
    values = load(raw)
    if found := problems(kind, values):
        raise InvalidError(found)
    return kind.model_validate(values)


def load(raw: bytes) -> Any:
    """Return the values of a JSON body.

    Raises:
        InvalidError: it isn't JSON.
    """
    try:
        values = json.loads(raw)
        # what can't be written as UTF-8 (half a surrogate pair) can't be kept, either
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidError([f"not JSON: {str(error) or type(error).__name__}"]) from None
    return values


def problems(kind: type[BaseModel], values: object) -> list[str]:
    """Return what is wrong with `values`, one line each."""
    if not isinstance(values, dict):
        return ["must be a JSON object"]
    try:
        kind.model_validate(values)
    except ValidationError as error:
        return [problem(item) for item in error.errors()]
    return []


def takes(kind: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Return what the OpenAPI schema says of an endpoint that reads a `kind`."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": required, "content": content}}


#: Every body, for the OpenAPI schema.
KINDS: Sequence[type[BaseModel]] = (
    DefinitionBody,
    StreamBody,
    OperationBody,
    OperationPatch,
    NodeBody,
    UserBody,
    UserPatch,
    RedriveBody,
)
