"""Versions of a process definition: who changed what, when, and the way back."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager.actions import definitions as actions
from manager.api.process_definition import Id, Version
from manager.changes import changes, with_changes
from manager.console.definitions import restart_of
from manager.console.pages import ask, done, page
from manager.console.tables import PAGE_ROWS, AskedTable, Rows
from manager.console.visitor import Form, Here, Person
from manager.model import Definition
from manager.roles import sees

router = APIRouter(prefix="/definitions/{number}/versions")


@router.get("/")
def show_all(
    request: Request, here: Here, person: Person, number: Id, asked: AskedTable
) -> Response:
    """Show all versions, the newest first."""
    start = (asked.page - 1) * PAGE_ROWS
    found = here.services.store.page_versions(
        number, owner=sees(person.user), limit=PAGE_ROWS + 1, offset=start
    )
    pages = max(1, -(-found.total // PAGE_ROWS))
    table = Rows(with_changes(found.items)[:PAGE_ROWS], found.total, pages, asked)
    now = _version(here, person, number)
    look = here.feed.look()
    return page(request, "versions", person, look=look, table=table, definition=now)


@router.get("/{version}/")
def show(request: Request, here: Here, person: Person, number: Id, version: Version) -> Response:
    """Show a version: what it changed, and what going back to it would change."""
    then, now = _version(here, person, number, version), _version(here, person, number)
    before = _version(here, person, number, version - 1) if version > 1 else None
    return page(
        request,
        "version",
        person,
        look=here.feed.look(),
        version=then,
        now=now,
        changed=changes(before.definition, then.definition) if before else None,
        back=changes(now.definition, then.definition),
    )


@router.get("/{version}/restore/")
def ask_restore(
    request: Request, here: Here, person: Person, number: Id, version: Version
) -> Response:
    """Ask before operations start anew with an old version."""
    then = _version(here, person, number, version)
    restart = restart_of(here.feed.look(), number)
    return ask(
        request,
        person,
        question=f"Go back to version {version} of definition {number}, {then.definition.name}?",
        loss=f"{restart} A new version is made that equals it; no version is lost.".lstrip(),
        deed="Go back to it",
        command=f"streamboss restore-definition {number} {version}",
    )


@router.post("/{version}/restore/")
def restore(here: Here, person: Person, number: Id, version: Version, _: Form) -> Response:
    """Make a new version that equals this one."""
    made = actions.restore_definition(here.services, person.user, number, version)
    said = f"version {made.version} equals version {version}"
    return done(here, f"/definitions/{number}/", said)


def _version(here: Here, person: Person, number: int, version: int | None = None) -> Definition:
    return here.services.store.get_definition(number, owner=sees(person.user), version=version)
