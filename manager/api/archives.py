"""`/api/archives/` and `/api/streams/<name>/archive/`."""

from fastapi import APIRouter

from manager.actions import archives as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import ArchiveBody
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.model import Archive
from manager.services import Services

router = APIRouter(prefix="/api", tags=["archives"])


@router.get("/archives/")
def list_archives(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the archives and how they are."""
    page = services.store.page_archives(limit=asked.limit, offset=asked.offset)
    return asked.answer(page, lambda archive: _view(services, archive))


@router.get("/streams/{name}/archive/")
def get_archive(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a stream's archive: what it holds, and how it is."""
    return Answer(_view(services, services.store.get_archive(name)))


@router.put(
    "/streams/{name}/archive/",
    openapi_extra=takes(ArchiveBody, required=False),
    responses={201: {"description": "Begun"}},
)
def put_archive(name: Name, user: Maker, services: Parts, raw: Body) -> Answer:
    """Begin to archive a stream (201), or change how it is archived (200)."""
    body = parse(ArchiveBody, raw or b"{}")
    begun = actions.begin_archive(
        services, user, name, passive=body.passive, keep_days=body.keep_days
    )
    return made(_view(services, services.store.get_archive(name)), created=begun)


@router.delete("/streams/{name}/archive/")
def delete_archive(name: Name, user: Maker, services: Parts) -> Answer:
    """Stop archiving: what waits is stored, then its state is `stopped`. Segments stay."""
    return Answer(_view(services, actions.stop_archive(services, user, name)))


def _view(services: Services, archive: Archive) -> views.Json:
    runtime = services.runtime
    return views.archive(archive, runtime.archive_status(archive), runtime.place.of(archive.stream))
