"""`/api/process_definition/`: the process registry."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from manager.actions import definitions as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import MAX_ID, Body, DefinitionBody, load, takes
from manager.api.logins import Maker, Parts, Viewer
from manager.roles import sees
from streams.definition import ProcessDefinition

router = APIRouter(prefix="/api/process_definition", tags=["process definitions"])
Id = Annotated[int, Path(ge=-MAX_ID, le=MAX_ID)]


@router.get("/")
def list_definitions(user: Viewer, services: Parts, asked: Asked) -> Answer:
    """List your process definitions; admins see everybody's."""
    page = services.store.page_definitions(owner=sees(user), limit=asked.limit, offset=asked.offset)
    return asked.answer(page, views.definition)


@router.post("/", status_code=201, openapi_extra=takes(DefinitionBody))
def create_definition(
    user: Maker,
    services: Parts,
    raw: Body,
    temporary: bool = False,  # noqa: FBT001, FBT002 - a query's
) -> Answer:
    """Register a process definition; a temporary one gets an id below 0, beside the numbering."""
    checked = _checked(raw)
    created = actions.create_definition(services, user, checked, temporary=temporary)
    return made(views.definition(created), created=True)


@router.get("/{number}/")
def get_definition(number: Id, user: Viewer, services: Parts) -> Answer:
    """Show a process definition."""
    return Answer(views.definition(services.store.get_definition(number, owner=sees(user))))


@router.put("/{number}/", openapi_extra=takes(DefinitionBody))
def update_definition(number: Id, user: Maker, services: Parts, raw: Body) -> Answer:
    """Make a new version; operations that use it restart by draining."""
    changed = actions.update_definition(services, user, number, _checked(raw))
    return Answer(views.definition(changed))


@router.delete("/{number}/", status_code=204, response_class=Response)
def delete_definition(number: Id, user: Maker, services: Parts) -> None:
    """Remove a process definition that no operation uses."""
    actions.delete_definition(services, user, number)


def _checked(raw: bytes) -> ProcessDefinition:
    load(raw)
    return ProcessDefinition.from_document(raw)
