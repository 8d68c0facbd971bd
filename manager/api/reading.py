"""Bodies as they come: read within bounds, checked as a whole, every problem named at once."""

import asyncio
import json
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from manager.errors import InvalidError
from streams.definition import problem

MAX_BODY_BYTES = 1024 * 1024
_BODY_S = 30

BodyT = TypeVar("BodyT", bound=BaseModel)


async def read(request: Request) -> bytes:
    """Return the body.

    Raises:
        HTTPException: it is too big (413), too slow (408), or isn't JSON by its own word (415).
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json" and not kind.lower().endswith("+json"):
        raise HTTPException(415, f"content type {kind!r}: send application/json")
    return await whole_body(request)


async def whole_body(request: Request) -> bytes:
    """Return a body that is no bigger, and comes no slower, than any of ours.

    Raises:
        HTTPException: it is too big (413), or too slow (408).
    """
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
    return checked(kind, load(raw))


def checked(kind: type[BodyT], values: object) -> BodyT:
    """Return values as what they should be.

    Raises:
        InvalidError: with every problem.
    """
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
