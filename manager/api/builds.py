"""`/api/builds/`: images that are built, told by the desks that build them."""

from datetime import UTC, datetime

from fastapi import APIRouter

from manager.actions import builds as actions
from manager.api import machine_views as views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import BuildBody, BuildEndBody, BuildStepBody
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.builds import BEGUN, builds_of
from manager.store import Asked as AskedEvents
from manager.store import Page

router = APIRouter(prefix="/api/builds", tags=["builds"])


@router.get("/")
def list_builds(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the builds, the newest first."""
    begun = services.store.page_activity(AskedEvents(BEGUN), limit=asked.limit, offset=asked.offset)
    told = services.store.events_of("build", [event.name for event in begun.items])
    return asked.answer(Page(builds_of(told, datetime.now(UTC)), begun.total), views.build)


@router.post("/", status_code=201, openapi_extra=takes(BuildBody))
def begin_build(maker: Maker, services: Parts, raw: Body) -> Answer:
    """Tell that a build begins."""
    body = parse(BuildBody, raw)
    build = actions.begin_build(services, maker, **body.model_dump())
    return made(views.build(build), created=True)


@router.get("/{name}/")
def get_build(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a build and its steps."""
    return Answer(views.build(actions.find_build(services, name)))


@router.post("/{name}/steps/", openapi_extra=takes(BuildStepBody))
def tell_step(name: Name, maker: Maker, services: Parts, raw: Body) -> Answer:
    """Tell that a step begins, or how it ended."""
    body = parse(BuildStepBody, raw)
    return Answer(views.build(actions.tell_step(services, maker, name, body.model_dump())))


@router.post("/{name}/end/", openapi_extra=takes(BuildEndBody))
def end_build(name: Name, maker: Maker, services: Parts, raw: Body) -> Answer:
    """Tell how a build ended."""
    body = parse(BuildEndBody, raw)
    return Answer(views.build(actions.end_build(services, maker, name, body.model_dump())))
