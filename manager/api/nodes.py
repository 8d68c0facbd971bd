"""`/api/nodes/`: machines with an agent."""

from fastapi import APIRouter
from fastapi.responses import Response

from manager.actions import nodes as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import Body, NodeBody, parse, takes
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


@router.delete("/{name}/", status_code=204, response_class=Response)
def remove_node(name: Name, admin: Admin, services: Parts) -> None:
    """Remove a node; its connections are closed, its operations go elsewhere."""
    actions.remove_node(services, admin, name)


def _all(services: Services) -> list[views.Json]:
    records = {record.name: record for record in services.store.list_nodes()}
    heard = {status.name: status for status in services.runtime.nodes()}
    # one that was removed is still heard of for a while
    alive = {name for name, status in heard.items() if status.state not in _ENDED}
    names = sorted(records.keys() | alive)
    return [views.node(name, records.get(name), heard.get(name)) for name in names]


def _one(services: Services, name: str) -> views.Json:
    for view in _all(services):
        if view["name"] == name:
            return view
    raise NotFoundError(f"there is no node {name!r}")
