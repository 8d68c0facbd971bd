"""The table of operations, an operation's page, and what may be done to it."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from manager.actions import operations as actions
from manager.api.operations import change_of
from manager.api.paths import Name
from manager.console.feed import Look, OperationLook
from manager.console.pages import HEADERS, ask, done, fragment, page
from manager.console.tables import AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.errors import InvalidError, NotFoundError
from manager.model import LogEntry
from streams import names

router = APIRouter(prefix="/operations")
#: So many lines of stderr are shown.
_LINES = 200
_ORDERS = {
    "name": lambda o: o.made.name,
    "state": lambda o: o.status.state.value,
    "rate": lambda o: o.status.rate_in,
    "waiting": lambda o: o.status.backlog_messages,
    "dead": lambda o: o.status.dead_letters,
}
#: What a button asks for, and the command that does the same.
DEMANDS = {"launch": "always", "stop": "paused", "resume": "consumers"}


@router.get("/")
def show_all(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the table."""
    look = here.feed.look()
    table = rows(
        look.operations.values(),
        asked,
        text=lambda o: f"{o.made.name} {o.status.state.value}",
        orders=_ORDERS,
    )
    return page(request, "operations", person, look=look, table=table)


@router.get("/{name}/")
def show(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show an operation."""
    look = here.feed.look(name)
    operation, told = operation_of(look, name), _last_lines(here, name)
    return page(request, "operation", person, look=look, operation=operation, stderr=told)


@router.get("/{name}/stderr/")
def stderr(here: Here, _: Person, name: Name) -> Response:
    """Show what programs said last: it comes by itself, whatever else changes."""
    return HTMLResponse(fragment("stderr", stderr=_last_lines(here, name)), headers=HEADERS)


@router.post("/{name}/demand/")
def demand(here: Here, person: Person, name: Name, form: Form) -> Response:
    """Launch, stop or resume an operation."""
    command = form.get("command", "")
    wanted = DEMANDS.get(command, form.get("demand"))
    _change(here, person, name, {"demand": wanted})
    return done(here, f"/operations/{name}/", f"{command or 'demand'}: done")


@router.post("/{name}/instances/")
def instances(here: Here, person: Person, name: Name, form: Form) -> Response:
    """Set how many operators an operation may have."""
    wanted = {"min": _number(form, "min"), "max": _number(form, "max")}
    _change(here, person, name, {"instances": wanted})
    return done(here, f"/operations/{name}/", f"instances: {wanted['min']} to {wanted['max']}")


@router.get("/{name}/purge/")
def ask_purge(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before what waits is thrown away."""
    operation_of(here.feed.look(name), name)
    waiting = here.services.runtime.broker.depth(names.operation_queue(name))
    return ask(
        request,
        person,
        question=f"Throw away what waits for {name}?",
        loss=f"{waiting:,} message{'s' * (waiting != 1)} will be lost. What is in work goes on.",
        deed="Purge",
        command=f"streamboss purge {name}",
    )


@router.post("/{name}/purge/")
def purge(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Throw away what waits."""
    count = actions.purge(here.services, person.user, name)
    return done(here, f"/operations/{name}/", f"{count:,} messages thrown away")


@router.get("/{name}/remove/")
def ask_removal(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before an operation is removed."""
    operation_of(here.feed.look(name), name)
    broker = here.services.runtime.broker
    waiting = broker.depth(names.operation_queue(name))
    dead = broker.depth(names.dead_queue(name))
    return ask(
        request,
        person,
        question=f"Remove operation {name}?",
        loss=f"{waiting:,} waiting messages and {dead:,} dead letters will be lost.",
        deed="Remove",
        command=f"streamboss remove-operation {name}",
    )


@router.post("/{name}/remove/")
def remove(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Remove an operation."""
    actions.remove_operation(here.services, person.user, name)
    return done(here, "/operations/", f"operation {name} removed")


def operation_of(look: Look, name: str) -> OperationLook:
    """Return an operation.

    Raises:
        NotFoundError: there is none.
    """
    if name not in look.operations:
        raise NotFoundError(f"there is no operation {name!r}")
    return look.operations[name]


def _last_lines(here: Here, name: str) -> list[tuple[LogEntry, str]]:
    said = [(entry, line) for entry in here.services.runtime.logs(name) for line in entry.lines]
    return said[-_LINES:]


def _change(here: Here, person: Person, name: str, values: dict[str, object]) -> None:
    # who may not change it hears that, rather than what is wrong with the values
    actions.owned_operation(here.services, person.user, name)
    change = change_of(here.services, person.user, values)
    actions.change_operation(here.services, person.user, name, change)


def _number(form: Form, name: str) -> int:
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - nine digits
        raise InvalidError([f"{name}: must be a whole number"])
    return int(text)
