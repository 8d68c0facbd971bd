"""The API's own description: `/api/openapi.json`."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from manager.api.answers import Answer
from manager.api.bodies import KINDS

_OPEN = frozenset({"/healthz", "/readyz"})
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "problems"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "problems": {"type": "array", "items": {"type": "string"}},
    },
}
_REF = "#/components/schemas/{model}"
#: What any request may get, in words; each with a problem as its body.
_REFUSALS = {
    "401": "no login, or a wrong one",
    "403": "this user may not",
    "404": "there is no such thing",
    "408": "the body took too long",
    "409": "it exists with other values, or is in use",
    "413": "the body is too big",
    "415": "the body isn't JSON by its own word",
    "422": "every problem with the request",
    "429": "too many wrong passwords: wait as Retry-After says",
    "503": "the broker or the database is away: try again",
}


def install(app: FastAPI) -> None:
    """Serve the description of `app`, open to everybody."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    def openapi_json() -> Answer:
        return Answer(describe())

    app.openapi = describe  # type: ignore[method-assign]
    app.add_api_route("/api/openapi.json", openapi_json, include_in_schema=False)


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description="Streams of messages, and the operations that turn one into another.",
        routes=app.routes,
    )
    _, bodies = models_json_schema([(kind, "validation") for kind in KINDS], ref_template=_REF)
    parts = schema.setdefault("components", {})
    parts["schemas"] = {**bodies["$defs"], "Problem": _PROBLEM}
    parts["securitySchemes"] = {
        "basic": {"type": "http", "scheme": "basic"},
        "token": {"type": "http", "scheme": "bearer"},
    }
    schema["security"] = [{"basic": []}, {"token": []}]
    for path, methods in schema["paths"].items():
        for described in methods.values():
            _add_refusals(described, is_open=path in _OPEN)
    return schema


def _add_refusals(described: dict[str, Any], *, is_open: bool) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if is_open:
        described["security"] = []
    if "201" in described["responses"]:
        described["responses"]["200"] = {"description": "it existed already, exactly like this"}
    refusals = {"503": _REFUSALS["503"]} if is_open else _REFUSALS
    for status, words in refusals.items():
        described["responses"][status] = {"description": words, "content": problem}
