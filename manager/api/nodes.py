"""`/api/nodes/`: machines with an agent."""

from fastapi import APIRouter
from fastapi.responses import Response

from manager.actions import nodes as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import NodeBody, NodePatch, RenewalBody
from manager.api.logins import Admin, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.nodes import all_nodes, node_of

router = APIRouter(prefix="/api/nodes", tags=["nodes"])


@router.get("/")
def list_nodes(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the nodes."""
    return asked.cut(all_nodes(services), views.node)


@router.post("/", status_code=201, openapi_extra=takes(NodeBody))
def add_node(admin: Admin, services: Parts, raw: Body) -> Answer:
    """Add a node: answers once with `config`, the content of its agent.json."""
    body = parse(NodeBody, raw)
    joining = actions.add_node(services, admin, body.name, body.offers)
    config = {**body.model_dump(), **joining}
    return made({**views.node(node_of(services, body.name)), "config": config}, created=True)


@router.get("/{name}/")
def get_node(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a node."""
    return Answer(views.node(node_of(services, name)))


@router.patch("/{name}/", openapi_extra=takes(NodePatch))
def change_node(name: Name, admin: Admin, services: Parts, raw: Body) -> Answer:
    """Let a node take nothing new and finish what it has, or take again."""
    body = parse(NodePatch, raw)
    actions.drain_node(services, admin, name, draining=body.draining)
    return Answer(views.node(node_of(services, name)))


@router.delete(
    "/{name}/",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "It is drained, and then terminated."}},
)
def remove_node(
    name: Name,
    admin: Admin,
    services: Parts,
    now: bool = False,  # noqa: FBT001, FBT002 - as it is called in the query
) -> Response:
    """Remove a node; its operations go elsewhere. One that was launched is terminated, too.

    With `now` it isn't drained before.
    """
    launched = actions.remove_node(services, admin, name, at_once=now)
    return Response(status_code=202 if launched else 204)


@router.post("/{name}/renew/", openapi_extra=takes(RenewalBody))
def renew_node(name: Name, admin: Admin, services: Parts, raw: Body) -> Answer:
    """Let a launched machine's lease end so many hours from now, or its idle time begin anew."""
    body = parse(RenewalBody, raw)
    trouble = actions.renew_node(services, admin, name, body.hours)
    return Answer({**views.node(node_of(services, name)), "warning": trouble or None})
