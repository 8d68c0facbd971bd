"""Dead letters of an operation: why, what, and another try."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager.actions import operations as actions
from manager.api.paths import Name
from manager.console.operations import operation_of
from manager.console.pages import HEADERS, ask, done, page
from manager.console.tables import Asked, AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.dead_letters import LISTED
from manager.model import Chosen, DeadLetter
from streams import names
from streams.errors import BrokerError

router = APIRouter(prefix="/operations/{name}/dead-letters")


@router.get("/")
def show(request: Request, here: Here, person: Person, name: Name, asked: AskedTable) -> Response:
    """Show the first ones; to a page that has them already, nothing."""
    look = here.feed.look(name)
    operation = operation_of(look, name)
    known = request.query_params.get("known")
    if known is not None and known == _count(here, name):
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=HEADERS)
    found = _letters(here, name)
    table = rows(found or (), asked, text=lambda d: f"{d.reason}\n{d.stderr}", orders={})
    return page(
        request, "letters", person, look=look, operation=operation, table=table, found=found
    )


def _count(here: Here, name: str) -> str | None:
    """Return how many would be shown: that is less work for the broker than to read them all."""
    try:
        return str(min(LISTED, here.services.runtime.broker.depth(names.dead_queue(name))))
    except BrokerError:
        return None


def _letters(here: Here, name: str) -> Sequence[DeadLetter] | None:
    try:
        return here.services.runtime.broker.dead_letters(name)
    except BrokerError:
        return None


@router.post("/redrive/")
def redrive(here: Here, person: Person, name: Name, form: Form) -> Response:
    """Give the operation one of them, those with a text, or all again."""
    chosen = Chosen(form.get("message_id") or None, form.get("matching") or None)
    count = actions.redrive(here.services, person.user, name, None, chosen)
    said = f"{count:,} dead letter{'s' * (count != 1)} sent back"
    if not count:
        said = "nothing was sent back: somebody was faster"
    place = f"/operations/{name}/dead-letters/{Asked(form.get('find', '')).at()}"
    return done(here, place, said)


@router.get("/purge/")
def ask_purge(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before they are thrown away."""
    operation_of(here.feed.look(name), name)
    dead = here.services.runtime.broker.depth(names.dead_queue(name))
    return ask(
        request,
        person,
        question=f"Throw away the dead letters of {name}?",
        loss=f"{dead:,} dead letter{'s' * (dead != 1)} will be lost.",
        deed="Throw away",
        command=f"streamboss redrive {name} --purge",
    )


@router.post("/purge/")
def purge(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Throw them away."""
    count = actions.purge_dead_letters(here.services, person.user, name)
    said = f"{count:,} dead letter{'s' * (count != 1)} thrown away"
    return done(here, f"/operations/{name}/dead-letters/", said)
