"""The table of nodes, a node's page, and what may be done to it."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager.actions import nodes as actions
from manager.api.bodies import RenewalBody
from manager.api.paths import Name
from manager.api.reading import problems
from manager.console.feed import Look
from manager.console.pages import ask, done, page
from manager.console.sentences import told
from manager.console.tables import AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.errors import InvalidError, NotFoundError
from manager.nodes import Node
from manager.store import Asked

router = APIRouter(prefix="/nodes")
#: So much of its history is on a node's page.
_EVENTS = 20
_ORDERS = {
    "name": lambda n: n.name,
    "state": lambda n: n.state,
    "used": lambda n: n.status.operators,
    "cpu": lambda n: n.status.cpu_percent,
    "memory": lambda n: n.status.memory_bytes,
    "lease": lambda n: n.machine.ends_at if n.machine else None,
    "price": lambda n: n.price,
}


@router.get("/")
def show_all(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the table."""
    look = here.feed.look()
    table = rows(look.nodes.values(), asked, text=_text, orders=_ORDERS)
    return page(request, "nodes", person, look=look, table=table)


@router.get("/{name}/")
def show(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show a node, and what happened to it."""
    look = here.feed.look()
    node = node_named(look, name)
    history = here.services.store.recent_activity(Asked(name=name), limit=_EVENTS)
    events = [(event, told(event)) for _, event in history if event.kind in {"node", "machine"}]
    runs = [look.operations[o] for o in node.status.operations if o in look.operations]
    return page(request, "node", person, look=look, node=node, events=events, runs=runs)


@router.post("/{name}/renew/")
def renew(here: Here, person: Person, name: Name, form: Form) -> Response:
    """Restart a clock: the lease's, by hours, or the idle time's."""
    hours = _hours(form) if form.get("clock") == "lease" else None
    trouble = actions.renew_node(here.services, person.user, name, hours)
    said = "its idle time begins anew" if hours is None else f"its lease ends {hours:g} h from now"
    return done(here, f"/nodes/{name}/", f"{said}; but {trouble}" if trouble else said)


@router.post("/{name}/drain/")
def drain(here: Here, person: Person, name: Name, form: Form) -> Response:
    """Let a node take nothing new, or take again."""
    draining = form.get("draining") == "yes"
    actions.drain_node(here.services, person.user, name, draining=draining)
    said = "it finishes what it has, and takes nothing new" if draining else "it takes again"
    return done(here, f"/nodes/{name}/", said)


@router.get("/{name}/remove/")
def ask_removal(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before a node is removed."""
    node = node_named(here.feed.look(), name)
    return ask(
        request,
        person,
        question=f"Remove node {name}?",
        loss=_end_of_machine(node, drained=True) if node.machine else _end_of_node(node),
        deed="Drain and terminate" if node.machine else "Remove",
        command=f"streamboss node remove {name}",
    )


@router.post("/{name}/remove/")
def remove(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Remove a node."""
    launched = actions.remove_node(here.services, person.user, name)
    said = f"node {name} is drained, and then terminated" if launched else f"node {name} removed"
    return done(here, f"/nodes/{name}/" if launched else "/nodes/", said)


@router.get("/{name}/terminate/")
def ask_termination(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before a machine is terminated without being drained."""
    node = node_named(here.feed.look(), name)
    if node.machine is None:
        raise NotFoundError(f"node {name!r} is no machine that the manager launched")
    return ask(
        request,
        person,
        question=f"Terminate {name} at once?",
        loss=_end_of_machine(node, drained=False),
        deed="Terminate now",
        command=f"streamboss node remove {name} --now",
    )


@router.post("/{name}/terminate/")
def terminate(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Terminate a machine without draining it."""
    here.services.store.get_machine(name)
    actions.remove_node(here.services, person.user, name, at_once=True)
    return done(here, "/nodes/", f"node {name} is terminated")


def node_named(look: Look, name: str) -> Node:
    """Return a node.

    Raises:
        NotFoundError: there is none.
    """
    if name not in look.nodes:
        raise NotFoundError(f"there is no node {name!r} (any more): the activity has its history")
    return look.nodes[name]


def _text(node: Node) -> str:
    cloud = node.machine.cloud if node.machine else ""
    return " ".join((node.name, node.state, cloud, *node.status.offers, *node.status.operations))


def _hours(form: Form) -> float:
    try:
        hours = float(form.get("hours", ""))
    except ValueError:
        raise InvalidError(["hours: must be a number"]) from None
    if found := problems(RenewalBody, {"clock": "lease", "hours": hours}):
        raise InvalidError(found)
    return hours


def _end_of_node(node: Node) -> str:
    return (
        f"Its agent is let in no more, and agent.json is worth nothing then. {_in_work(node)}"
        " Its operations run on only where another node offers what they need."
    )


def _end_of_machine(node: Node, *, drained: bool) -> str:
    machine = node.machine
    handle = machine.handle if machine and machine.handle else "its machine"
    cloud = f" on {machine.cloud}" if machine else ""
    first = "It finishes what it has; then" if drained else "At once, without draining,"
    rest = "" if drained else f" {_in_work(node)}"
    return (
        f"{first} {handle}{cloud} is terminated, and what is on its disk is lost.{rest}"
        " If somebody still wants what it makes, another machine is launched."
    )


def _in_work(node: Node) -> str:
    if not node.status.operators:
        return "It has nothing in work."
    return "What it has in work isn't lost: it is given to an operation again, from the beginning."
