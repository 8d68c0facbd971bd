"""The first page: streams and operations, from left to right."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from manager.console.graph import SIGNS, elements, part_of
from manager.console.pages import HEADERS, page
from manager.console.visitor import Here, Person

router = APIRouter()
Around = Annotated[str, Query(max_length=100)]


@router.get("/")
def show(request: Request, here: Here, person: Person, around: Around = "") -> Response:
    """Show everything, or what is near one thing."""
    look = here.feed.look()
    part = part_of(look, around)
    return page(request, "topology", person, look=look, part=part, around=around, signs=SIGNS)


@router.get("/topology/")
def graph(here: Here, _: Person, around: Around = "") -> JSONResponse:
    """Return the same for the drawing: nodes and edges."""
    return JSONResponse({"elements": elements(part_of(here.feed.look(), around))}, headers=HEADERS)
