"""The first page: streams and operations, from left to right."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from manager.console.graph import SIGNS, elements, part_of
from manager.console.pages import HEADERS, page
from manager.console.visitor import Console, Here, Person, Visitor
from manager.model import Definition
from manager.roles import sees

router = APIRouter()
Around = Annotated[str, Query(max_length=100)]


@router.get("/")
def show(request: Request, here: Here, person: Person, around: Around = "") -> Response:
    """Show everything, or what is near one thing."""
    look = here.feed.look()
    part = part_of(look, around)
    newest = None if part.total else _newest(here, person)
    told: dict[str, Any] = {"part": part, "around": around, "signs": SIGNS, "newest": newest}
    return page(request, "topology", person, look=look, **told)


@router.get("/topology/")
def graph(here: Here, _: Person, around: Around = "") -> JSONResponse:
    """Return the same for the drawing: nodes and edges."""
    return JSONResponse({"elements": elements(part_of(here.feed.look(), around))}, headers=HEADERS)


def _newest(here: Console, person: Visitor) -> Definition | None:
    """Return the definition that somebody made last, as far as this person sees it."""
    found = here.services.store.list_definitions(owner=sees(person.user))
    return max((d for d in found if d.id > 0), key=lambda d: d.id, default=None)
