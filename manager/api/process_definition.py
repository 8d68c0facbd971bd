"""`/api/process_definition/`: the process registry."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from manager.actions import definitions as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import MAX_ID, DefinitionBody, TryBody
from manager.api.logins import Maker, Parts, Viewer
from manager.api.reading import Body, load, parse, takes
from manager.changes import with_changes
from manager.roles import sees
from manager.store import Page
from streams.definition import ProcessDefinition

router = APIRouter(prefix="/api/process_definition", tags=["process definitions"])
Id = Annotated[int, Path(ge=-MAX_ID, le=MAX_ID)]
Version = Annotated[int, Path(ge=1, le=MAX_ID)]


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


@router.post("/try/", openapi_extra=takes(TryBody))
def try_definition(user: Maker, services: Parts, raw: Body) -> Answer:
    """Try a definition that needn't be registered: run it once over a message, on a node.

    It takes a ready node that offers the application, and at most 30 s.
    """
    asked = parse(TryBody, raw)
    told = actions.try_definition(services, user, asked.definition, asked.body, asked.kind)
    return Answer(views.trial(told))


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


@router.get("/{number}/versions/")
def list_versions(number: Id, user: Viewer, services: Parts, asked: Asked) -> Answer:
    """List what a definition was, the newest first: who changed what, and when."""
    # one more, to compare the last one with
    page = services.store.page_versions(
        number, owner=sees(user), limit=asked.limit + 1, offset=asked.offset
    )
    told = with_changes(page.items)[: asked.limit]
    return asked.answer(Page(told, page.total), lambda each: views.version(*each))


@router.get("/{number}/versions/{version}/")
def get_version(number: Id, version: Version, user: Viewer, services: Parts) -> Answer:
    """Show a version of a process definition, and what it changed."""
    store, owner = services.store, sees(user)
    found = [store.get_definition(number, owner=owner, version=version)]
    if version > 1:
        found.append(store.get_definition(number, owner=owner, version=version - 1))
    return Answer(views.version(*with_changes(found)[0]))


@router.post("/{number}/versions/{version}/restore/")
def restore_version(number: Id, version: Version, user: Maker, services: Parts) -> Answer:
    """Make a new version that equals this one; operations that use it restart by draining."""
    made = actions.restore_definition(services, user, number, version)
    return Answer(views.definition(made))


def _checked(raw: bytes) -> ProcessDefinition:
    load(raw)
    return ProcessDefinition.from_document(raw)
