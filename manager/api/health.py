"""`/healthz`, `/readyz` and `/metrics`, for whoever watches over the manager."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import Response

from manager.api.answers import Answer
from manager.api.logins import Parts, Viewer
from manager.api.problems import problem
from manager.errors import StoreUnavailableError
from manager.services import Services

router = APIRouter(tags=["health"])
_POLLS = (
    "changes on the broker are seen within seconds, not at once: enable rabbitmq_event_exchange"
    " and let the manager's broker user into the vhost '/'"
)


@router.get("/healthz")
async def healthz() -> Answer:
    """Say that the manager serves; needs neither database nor broker, nor a free thread."""
    return Answer({"status": "ok"})


@router.get("/readyz")
def readyz(services: Parts) -> Response:
    """Say whether the manager can do its work, or everything that keeps it from it."""
    found = [*_database_problems(services), *services.runtime.problems()]
    if found:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, found)
    notes = [*services.runtime.notes(), *([] if services.runtime.live() else [_POLLS])]
    return Answer({"status": "ready", **({"notes": notes} if notes else {})})


@router.get("/metrics", response_class=Response)
def metrics(_: Viewer, services: Parts) -> Response:
    """Return everything counted, as Prometheus reads it."""
    return Response(services.runtime.metrics(), media_type="text/plain; version=0.0.4")


def _database_problems(services: Services) -> list[str]:
    try:
        services.store.ping()
    except StoreUnavailableError as error:
        return [str(error)]
    return []
