"""`/api/streams/`."""

from fastapi import APIRouter
from fastapi.responses import Response

from manager.actions import streams as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import StreamBody
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.model import Stream

router = APIRouter(prefix="/api/streams", tags=["streams"])


@router.get("/")
def list_streams(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the streams."""
    page = services.store.page_streams(limit=asked.limit, offset=asked.offset)
    consumers = services.runtime.stream_consumers(stream.name for stream in page.items)
    return asked.answer(page, lambda stream: views.stream(stream, consumers.get(stream.name, 0)))


@router.post("/", status_code=201, openapi_extra=takes(StreamBody))
def create_stream(user: Maker, services: Parts, raw: Body) -> Answer:
    """Create a stream; 200 if it exists already."""
    body = parse(StreamBody, raw)
    stream, created = actions.create_stream(services, user, body.name)
    return made(_view(services, stream), created=created)


@router.get("/{name}/")
def get_stream(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show a stream."""
    return Answer(_view(services, services.store.get_stream(name)))


@router.delete("/{name}/", status_code=204, response_class=Response)
def delete_stream(name: Name, user: Maker, services: Parts) -> None:
    """Remove a stream that nobody uses."""
    actions.remove_stream(services, user, name)


def _view(services: Parts, stream: Stream) -> views.Json:
    consumers = services.runtime.stream_consumers([stream.name])
    return views.stream(stream, consumers[stream.name])
