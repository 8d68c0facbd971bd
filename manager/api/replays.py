"""`/api/replays/` and `/api/streams/<name>/replays/`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from manager.actions import archives as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import ReplayBody, ReplayPatch
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.replays.request import ReplayRequest
from manager.replays.speed import Speed
from streams.archive.keys import us_of

router = APIRouter(prefix="/api", tags=["replays"])
Id = Annotated[str, Path(pattern="^[0-9a-z]{1,40}$")]


@router.get("/replays/")
def list_all_replays(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the replays of all streams, the newest first."""
    page = services.store.page_replays(stream=None, limit=asked.limit, offset=asked.offset)
    return asked.answer(page, views.replay)


@router.get("/streams/{name}/replays/")
def list_replays(name: Name, _: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the replays of a stream's archive, the newest first."""
    services.store.get_stream(name)
    page = services.store.page_replays(stream=name, limit=asked.limit, offset=asked.offset)
    return asked.answer(page, views.replay)


@router.post(
    "/streams/{name}/replays/", status_code=201, openapi_extra=takes(ReplayBody, required=False)
)
def create_replay(name: Name, user: Maker, services: Parts, raw: Body) -> Answer:
    """Play a stream's archive onto it again, or onto another stream of yours."""
    request = request_of(name, parse(ReplayBody, raw or b"{}"))
    return made(views.replay(actions.create_replay(services, user, request)), created=True)


@router.get("/streams/{name}/replays/{replay}/")
def get_replay(name: Name, replay: Id, _: Viewer, services: Parts) -> Answer:
    """Show a replay: what was asked, and how far it is."""
    return Answer(views.replay(services.store.get_replay(name, replay)))


@router.patch("/streams/{name}/replays/{replay}/", openapi_extra=takes(ReplayPatch))
def change_replay(name: Name, replay: Id, user: Maker, services: Parts, raw: Body) -> Answer:
    """Pause a replay (`paused`), or let it go on where it was (`running`)."""
    body = parse(ReplayPatch, raw)
    changed = actions.ask_replay(services, user, name, replay, body.wanted)
    return Answer(views.replay(changed))


@router.delete("/streams/{name}/replays/{replay}/", status_code=204, response_class=Response)
def cancel_replay(name: Name, replay: Id, user: Maker, services: Parts) -> None:
    """Cancel a replay, and forget it; what was played stays played."""
    actions.cancel_replay(services, user, name, replay)


def request_of(stream: str, body: ReplayBody) -> ReplayRequest:
    """Return what is asked for; without an end, what is published later isn't waited for."""
    request = ReplayRequest(
        stream=stream,
        onto=body.onto or stream,
        until_us=us_of(body.to or datetime.now(UTC)),
        speed=Speed.parse(body.speed),
        limit=body.limit,
        fresh_ids=body.fresh_ids,
    )
    return replace(request, since_us=us_of(body.since)) if body.since else request
