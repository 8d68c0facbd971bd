"""What happened, and why: the newest first, endlessly, live."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from manager.api.activity import LINES, lines
from manager.console.pages import HEADERS, fragment, page
from manager.console.sentences import told
from manager.console.visitor import Here, Person
from manager.store import Asked

router = APIRouter(prefix="/activity")
#: So many at once; of what comes while somebody looks, at most so many more.
_AT_ONCE, _MOST = 50, 500
#: What things there are that something happens to.
KINDS: tuple[str, ...] = (
    *("operation", "stream", "subscription", "archive", "replay", "definition", "trial"),
    *("node", "machine", "cloud", "image", "build", "user", "token"),
)
_Text = Annotated[str, Query(max_length=210, pattern="^[^\\x00]*$")]
_Number = Annotated[int | None, Query(ge=0, lt=2**63)]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part: before an event's number, or from one on, itself included."""

    before: int | None = None
    since: int | None = None


def _part(before: _Number = None, since: _Number = None) -> Part:
    return Part(before, since)


def _asked(kind: _Text = "", name: _Text = "", by: _Text = "", like: _Text = "") -> Asked:
    """Return what is asked for: links mean a thing by its `name`, people type a part of it."""
    return Asked(kind.strip(), name.strip(), by.strip(), like.strip())


@router.get("/")
def show(
    request: Request,
    here: Here,
    person: Person,
    asked: Annotated[Asked, Depends(_asked)],
    part: Annotated[Part, Depends(_part)],
) -> Response:
    """Show the newest events, or older ones.

    A page that is open asks for what came since its own oldest event; that is how it grows.
    """
    look, before, since = here.feed.look(), part.before, part.since
    most = _AT_ONCE if since is None else _MOST
    found = here.services.store.recent_activity(
        asked, limit=most + 1, before=before, since=since or 0
    )
    shown = found[:most]
    values: dict[str, Any] = {
        "events": [(event, told(event)) for _, event in shown],
        "older": shown[-1][0] if len(found) > most and since is None else None,
        "query": _query(asked),
    }
    if before is not None and "hx-request" in request.headers:
        rows = fragment("events", **values) + fragment("older", **values)
        return HTMLResponse(rows, headers=HEADERS)
    oldest = since if since is not None else shown[-1][0] if shown else 0
    values |= {"asked": asked, "before": before, "since": oldest, "kinds": KINDS}
    values["cut"] = since is not None and len(found) > most
    return page(request, "activity", person, look=look, **values)


@router.get("/export/")
def export(here: Here, _: Person, asked: Annotated[Asked, Depends(_asked)]) -> StreamingResponse:
    """Return all of it as JSON lines, the oldest first."""
    return StreamingResponse(lines(here.services, asked), media_type=LINES, headers=HEADERS)


def _query(asked: Asked) -> str:
    """Return the filter as the beginning of a query."""
    given = {"kind": asked.kind, "name": asked.name, "by": asked.by, "like": asked.like}
    return urlencode({name: text for name, text in given.items() if text})
