"""`/api/nodes/`: machines with an agent."""

from fastapi import APIRouter
from fastapi.responses import Response

from manager.actions import nodes as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import Body, NodeBody, RenewalBody, parse, takes
from manager.api.logins import Admin, Parts, Viewer
from manager.api.paths import Name
from manager.errors import NotFoundError
from manager.model import NodeState
from manager.services import Services

_ENDED = frozenset({NodeState.LOST, NodeState.GONE})

router = APIRouter(prefix="/api/nodes", tags=["nodes"])


@router.get("/")
def list_nodes(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the nodes: those that were added, and those heard of."""
    return asked.cut(_all(services), lambda view: view)


@router.post("/", status_code=201, openapi_extra=takes(NodeBody))
def add_node(admin: Admin, services: Parts, raw: Body) -> Answer:
    """Add a node: answers once with `config`, the content of its agent.json."""
    body = parse(NodeBody, raw)
    addresses = actions.add_node(services, admin, body.name)
    config = {**body.model_dump(), "amqp_urls": addresses}
    return made({**_one(services, body.name), "config": config}, created=True)


@router.get("/{name}/")
def get_node(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a node."""
    return Answer(_one(services, name))


@router.delete(
    "/{name}/",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "It is drained, and then terminated."}},
)
def remove_node(name: Name, admin: Admin, services: Parts) -> Response:
    """Remove a node; its operations go elsewhere. One that was launched is terminated, too."""
    launched = actions.remove_node(services, admin, name)
    return Response(status_code=202 if launched else 204)


@router.post("/{name}/renew/", openapi_extra=takes(RenewalBody))
def renew_node(name: Name, admin: Admin, services: Parts, raw: Body) -> Answer:
    """Let a launched machine's lease end so many hours from now, or its idle time begin anew."""
    body = parse(RenewalBody, raw)
    trouble = actions.renew_node(services, admin, name, body.hours)
    return Answer({**_one(services, name), "warning": trouble or None})


def _all(services: Services) -> list[views.Json]:
    records = {record.name: record for record in services.store.list_nodes()}
    heard = {status.name: status for status in services.runtime.nodes()}
    # one that was removed is still heard of for a while
    alive = {name for name, status in heard.items() if status.state not in _ENDED}
    names = sorted(records.keys() | alive)
    machines = {machine.node: machine for machine in services.store.machines()}
    return [
        views.node(name, records.get(name), heard.get(name), machines.get(name)) for name in names
    ]


def _one(services: Services, name: str) -> views.Json:
    for view in _all(services):
        if view["name"] == name:
            return view
    raise NotFoundError(f"there is no node {name!r}")
