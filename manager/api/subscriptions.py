"""`/api/subscriptions/`: queues that keep a stream for somebody who may be away."""

from fastapi import APIRouter

from manager.actions import streams as actions
from manager.api import views
from manager.api.answers import Answer, Asked
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.errors import NotFoundError
from manager.services import Services
from manager.topology import subscription_of

router = APIRouter(prefix="/api/subscriptions", tags=["subscriptions"])


@router.get("/")
def list_subscriptions(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the subscriptions and how many messages wait in each."""
    return asked.cut(_all(services), lambda view: view)


@router.get("/{stream}/{name}/")
def get_subscription(stream: Name, name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a subscription."""
    return Answer(_one(services, stream, name))


@router.delete("/{stream}/{name}/")
def remove_subscription(stream: Name, name: Name, user: Maker, services: Parts) -> Answer:
    """Remove a subscription, as its stream's owner; says how many messages went with it."""
    found = _one(services, stream, name)
    messages = actions.remove_subscription(services, user, stream, name)
    return Answer({**found, "messages": messages})


def _all(services: Services) -> list[views.Json]:
    found = sorted(services.runtime.broker.subscriptions())
    return [views.subscription(*subscription_of(queue), count) for queue, count in found]


def _one(services: Services, stream: str, name: str) -> views.Json:
    for view in _all(services):
        if (view["stream"], view["name"]) == (stream, name):
            return view
    raise NotFoundError(f"there is no subscription {name!r} on stream {stream!r}")
