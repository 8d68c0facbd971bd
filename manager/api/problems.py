"""Errors become answers here, and only here: problem+json (RFC 9457) with every problem named."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from manager.api.answers import Answer
from manager.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    StoreUnavailableError,
    ThrottledError,
    UnauthorizedError,
)
from streams.definition import problem as in_words
from streams.errors import (
    BrokerError,
    DefinitionError,
    InvalidNameError,
    ObjectError,
    ObjectsUnreachableError,
    StreamsError,
    TopologyConflictError,
)

log = logging.getLogger(__name__)

#: From error to status; the first that fits counts.
STATUS: tuple[tuple[type[StreamsError], HTTPStatus], ...] = (
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (ThrottledError, HTTPStatus.TOO_MANY_REQUESTS),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (TopologyConflictError, HTTPStatus.CONFLICT),
    (InvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DefinitionError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidNameError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StoreUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoAnswerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BrokerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ObjectsUnreachableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ObjectError, HTTPStatus.CONFLICT),
)
_HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {
        "WWW-Authenticate": 'Basic realm="streamboss", charset="UTF-8", Bearer realm="streamboss"'
    },
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "2"},
}


class Problem(Answer):
    """An answer that says what is wrong."""

    media_type = "application/problem+json"


def problem(
    status: HTTPStatus, problems: Sequence[str], headers: Mapping[str, str] | None = None
) -> Problem:
    """Return the answer for these problems, one line each."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": "; ".join(problems),
        "problems": list(problems),
    }
    return Problem(content, status, {**_HEADERS.get(status, {}), **(headers or {})})


def install(app: FastAPI) -> None:
    """Let every error of `app` be answered with a problem."""
    app.add_exception_handler(StreamsError, _expected)
    app.add_exception_handler(RequestValidationError, _mistyped)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)


def note_refusal(request: Request, error: Exception) -> None:
    """Log that somebody was refused what they may not do; the error says who."""
    if isinstance(error, ForbiddenError):
        address = request.client.host if request.client else "somewhere"
        log.warning("refused: %s %s from %s: %s", request.method, request.url.path, address, error)


async def _expected(request: Request, error: Exception) -> Problem:
    note_refusal(request, error)
    status = next((s for kind, s in STATUS if isinstance(error, kind)), None)
    if status is None:
        raise error
    headers = {"Retry-After": str(error.pause_s)} if isinstance(error, ThrottledError) else None
    return problem(status, getattr(error, "problems", [str(error)]), headers)


async def _mistyped(request: Request, error: Exception) -> Problem:
    """Answer for path and query. A path with a part that can't be is one that isn't there."""
    items = error.errors() if isinstance(error, RequestValidationError) else []
    if any(item["loc"][0] == "path" for item in items):
        return problem(HTTPStatus.NOT_FOUND, [f"there is nothing at {request.url.path}"])
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        [in_words({**item, "loc": item["loc"][1:]}) for item in items],
    )


async def _http(request: Request, error: Exception) -> Problem:
    if not isinstance(error, HTTPException):  # pragma: no cover - never registered for others
        raise error
    status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    text = error.detail
    if status is HTTPStatus.NOT_FOUND and text == status.phrase:
        text = f"there is nothing at {request.url.path}"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
        text = f"{request.method} isn't possible here: use {headers['Allow']}"
    return problem(status, [text], headers)


async def _bug(_: Request, error: Exception) -> Problem:
    """Answer for a bug; the server logs its traceback."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        [f"a bug in the manager ({type(error).__name__}): its log has the traceback"],
    )


def _methods(request: Request) -> list[str]:
    """Return every method that this path knows: the router's own list is of one handler only."""
    found: set[str] = set()
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods
    return sorted(found)
