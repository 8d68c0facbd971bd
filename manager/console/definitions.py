"""The table of process definitions, a definition's page, and the form for one."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from manager.actions import definitions as actions
from manager.api.process_definition import Id
from manager.changes import with_changes
from manager.console import definition_form as form_of
from manager.console.feed import Look, OperationLook
from manager.console.forms import MENDABLE, Filled, refused
from manager.console.pages import HEADERS, again, ask, done, page
from manager.console.shown import as_json
from manager.console.tables import AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.errors import ConflictError, InvalidError
from manager.model import Definition
from manager.roles import must_make, sees
from streams.control import ANY_APPLICATION
from streams.errors import StreamsError

router = APIRouter(prefix="/definitions")
#: So many versions are on the definition's own page.
_LATEST = 5
#: So many operations are named in a sentence.
_MOST_NAMED = 10
#: So many streams are suggested.
_MOST_STREAMS = 200
_ORDERS = {
    "id": lambda d: d.id,
    "name": lambda d: d.definition.name.casefold(),
    "application": lambda d: d.definition.application,
    "changed": lambda d: d.at,
}
Like = Annotated[int | None, Query()]


@router.get("/")
def show_all(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the table."""
    look = here.feed.look()
    found = here.services.store.list_definitions(owner=sees(person.user))
    table = rows(
        (d for d in found if d.id > 0),
        asked,
        text=lambda d: f"{d.id} {d.definition.name} {d.definition.application} {d.definition.exec}",
        orders=_ORDERS,
    )
    users = {d.id: users_of(look, d.id) for d in table.items}
    return page(request, "definitions", person, look=look, table=table, users=users)


@router.get("/new/")
def ask_new(request: Request, here: Here, person: Person, like: Like = None) -> Response:
    """Show the form, empty or filled in like another definition."""
    must_make(person.user)
    form = _form(here)
    # where it is enough, nobody has to know yet what an application is
    values = form_of.given() | ({"application": ANY_APPLICATION} if form["anywhere"] else {})
    if like is not None:
        values = form_of.filled_with(_definition(here, person, like).definition)
    return page(request, "definition_form", person, filled=Filled(values), **form)


@router.post("/new/")
def create(request: Request, here: Here, person: Person, form: Form) -> Response:
    """Register a definition."""
    must_make(person.user)
    try:
        definition = form_of.definition_of(form)
    except MENDABLE as error:
        return _again(request, here, person, form=form, error=error)
    made = actions.create_definition(here.services, person.user, definition)
    return done(here, f"/definitions/{made.id}/", f"definition {made.id} registered")


@router.post("/check/")
def check(_: Person, form: Form) -> JSONResponse:
    """Say what is wrong with each field, and what the form means as a document."""
    problems: Mapping[str, Sequence[str]] = {}
    try:
        form_of.definition_of(form)
    except InvalidError as error:
        problems = refused(form, error, form_of.NAMES).problems
    document = as_json({"definition": form_of.document_of(form)})
    return JSONResponse({"problems": problems, "document": document}, headers=HEADERS)


@router.get("/{number}/")
def show(request: Request, here: Here, person: Person, number: Id) -> Response:
    """Show a definition: what it runs, who uses it, how it came to be."""
    look = here.feed.look()
    found = _definition(here, person, number)
    versions = here.services.store.page_versions(
        number, owner=sees(person.user), limit=_LATEST + 1, offset=0
    )
    return page(
        request,
        "definition",
        person,
        look=look,
        definition=found,
        unusual=form_of.unusual(found.definition),
        users=users_of(look, number),
        versions=with_changes(versions.items)[:_LATEST],
        total=versions.total,
    )


@router.get("/{number}/change/")
def ask_change(request: Request, here: Here, person: Person, number: Id) -> Response:
    """Show the form for another version."""
    must_make(person.user)
    found = _definition(here, person, number)
    values = {**form_of.filled_with(found.definition), "version": str(found.version)}
    return page(request, "definition_form", person, filled=Filled(values), **_form(here, found))


@router.post("/{number}/change/")
def change(request: Request, here: Here, person: Person, number: Id, form: Form) -> Response:
    """Make another version, unless somebody else did meanwhile."""
    must_make(person.user)
    before = _definition(here, person, number)
    try:
        definition = form_of.definition_of(form)
        if form.get("version") != str(before.version):
            raise ConflictError(
                f"{before.by} made version {before.version} meanwhile: open the form anew"
            )
    except MENDABLE as error:
        return _again(request, here, person, form=form, error=error, changed=before)
    made = actions.update_definition(here.services, person.user, number, definition)
    same = made.version == before.version
    said = "nothing differs: no new version" if same else f"version {made.version} made"
    return done(here, f"/definitions/{number}/", said)


@router.get("/{number}/remove/")
def ask_removal(request: Request, here: Here, person: Person, number: Id) -> Response:
    """Ask before a definition is removed; of one in use, say by what."""
    found = _definition(here, person, number)
    look = here.feed.look()
    if users := users_of(look, number):
        return page(request, "in_use", person, look=look, definition=found, users=users)
    return ask(
        request,
        person,
        question=f"Remove definition {number}, {found.definition.name}?",
        loss=f"It is lost with its versions ({found.version}).",
        deed="Remove",
        command=f"streamboss remove-definition {number}",
    )


@router.post("/{number}/remove/")
def remove(here: Here, person: Person, number: Id, _: Form) -> Response:
    """Remove a definition that no operation uses."""
    actions.delete_definition(here.services, person.user, number)
    return done(here, "/definitions/", f"definition {number} removed")


def users_of(look: Look, number: int) -> list[OperationLook]:
    """Return the operations that use a definition."""
    return [o for o in look.operations.values() if o.made.process_definition_id == number]


def restart_of(look: Look, number: int) -> str:
    """Return in a sentence what another version means for those that use it; empty: for nobody."""
    match [operation.made.name for operation in users_of(look, number)]:
        case []:
            return ""
        case [one]:
            return f"{one} finishes what it has begun, and starts anew with it."
        case several:
            names = ", ".join(several[:_MOST_NAMED])
            more = f" and {len(several) - _MOST_NAMED} more" if len(several) > _MOST_NAMED else ""
            return f"{names}{more} finish what they have begun, and start anew with it."


def _definition(here: Here, person: Person, number: int) -> Definition:
    return here.services.store.get_definition(number, owner=sees(person.user))


def _form(here: Here, changed: Definition | None = None) -> dict[str, Any]:
    """Return what the form is made of."""
    offers = {offer for node in here.services.runtime.nodes() for offer in node.offers}
    return {
        "every_field": form_of.FIELDS,
        "first": form_of.FIRST,
        "offers": sorted(offers),
        "anywhere": ANY_APPLICATION in offers,
        "streams": sorted(here.feed.look().streams)[:_MOST_STREAMS],
        "changed": changed,
        "restart": restart_of(here.feed.look(), changed.id) if changed else "",
    }


def _again(
    request: Request,
    here: Here,
    person: Person,
    *,
    form: Form,
    error: StreamsError,
    changed: Definition | None = None,
) -> Response:
    return again(
        request,
        "definition_form",
        person,
        form=form,
        error=error,
        fields=form_of.NAMES,
        **_form(here, changed),
    )
