"""`/api/activity/`: what happened, and who did it."""

import json
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse

from manager.api.answers import Asked
from manager.api.logins import Parts, Viewer
from manager.services import Services
from manager.store import Asked as AskedEvents

router = APIRouter(prefix="/api/activity", tags=["activity"])
LINES = "application/jsonl"
_Text = Annotated[str, Query(max_length=210, pattern="^[^\\x00]*$")]


def _narrowed(kind: _Text = "", name: _Text = "", by: _Text = "") -> AskedEvents:
    """Which events: of a `kind` (`operation`, `operation.state`), a thing, a person."""
    return AskedEvents(kind, name, by)


@router.get("/", responses={200: {"content": {LINES: {"schema": {"type": "string"}}}}})
def list_activity(
    _: Viewer,
    services: Parts,
    asked: Asked,
    narrowed: Annotated[AskedEvents, Depends(_narrowed)],
    format: Literal["page", "jsonl"] = "page",  # noqa: A002 - as it is called in the query
) -> Response:
    """List what happened, the newest first; as `jsonl` all of it, the oldest first, one a line."""
    if format == "jsonl":
        return StreamingResponse(lines(services, narrowed), media_type=LINES)
    page = services.store.page_activity(narrowed, limit=asked.limit, offset=asked.offset)
    return asked.answer(page, lambda event: event.document())


def lines(services: Services, asked: AskedEvents) -> Iterator[bytes]:
    """Give all events as JSON, one a line, the oldest first."""
    for event in services.store.each_event(asked):
        yield json.dumps(event.document()).encode() + b"\n"
