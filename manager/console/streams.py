"""The table of streams, and a stream's page."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from manager.actions import streams as actions
from manager.api.paths import Name
from manager.console.feed import Look, OperationLook, StreamLook
from manager.console.pages import HEADERS, ask, done, fragment, page
from manager.console.tables import AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.errors import ConflictError, InvalidError, NotFoundError, listed
from manager.roles import must_own
from streams import names
from streams.errors import BrokerError, StreamsError
from streams.message import Message
from streams.names import QueueRole

router = APIRouter(prefix="/streams")
#: The plot shows so much of the past, a point every so often.
_PAST_S, _STEP_S = 600, 10
_ORDERS = {
    "name": lambda s: s.name,
    "rate": lambda s: s.rate,
    "out": lambda s: s.rate_out,
    "consumers": lambda s: s.consumers,
    "last": lambda s: s.last_at,
}


@router.get("/")
def show_all(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the table."""
    look = here.feed.look()
    table = rows(look.streams.values(), asked, text=lambda s: s.name, orders=_ORDERS)
    return page(request, "streams", person, look=look, table=table)


@router.get("/{name}/")
def show(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show a stream: what comes, from whom, and where it goes."""
    look = here.feed.look(name)
    return page(
        request,
        "stream",
        person,
        look=look,
        stream=stream_of(look, name),
        makers=[o for o in look.operations.values() if o.made.output_stream == name],
        takers=_takers(look, name),
        collectors=_collectors(here, look, name),
        words=_WORDS,
    )


@router.get("/{name}/rates/")
def rates(here: Here, _: Person, name: Name) -> JSONResponse:
    """Return what came during the last ten minutes: pairs of milliseconds since 1970 and rate."""
    stream_of(here.feed.look(name), name)
    found = here.services.runtime.broker.stream_history(name, age_s=_PAST_S, step_s=_STEP_S)
    return JSONResponse([[int(at_s * 1000), rate] for at_s, rate in found], headers=HEADERS)


@router.post("/{name}/publish/")
def publish(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Publish one message; a page that stays, with its tail, gets only what came of it."""
    stays = "hx-request" in request.headers
    try:
        lost = _published(here, person, name, form)
        kind, said = ("warn", f"published, but {lost}") if lost else ("good", "published")
    except StreamsError as error:
        if not stays:
            raise
        kind, said = "bad", str(error)
    if stays:
        return HTMLResponse(fragment("published", kind=kind, said=said), headers=HEADERS)
    return done(here, f"/streams/{name}/", said)


def _published(here: Here, person: Person, name: str, form: Mapping[str, str]) -> str:
    """Publish what a form says; return why it is gone, or nothing."""
    text, kind = form.get("body", ""), form.get("content_type", "").strip() or None
    if kind is not None and not (kind.isascii() and kind.isprintable()):
        raise InvalidError(["content type: must be printable ASCII, like text/plain"])
    # browsers send each end of a line as two characters
    message = Message(text.replace("\r\n", "\n").encode(), content_type=kind)
    collected = actions.publish_message(here.services, person.user, name, message)
    here.feed.renew()
    if collected:
        return ""
    begins = [
        f"{taker.made.name} takes something once it is wanted (see its page)"
        for taker in _takers(here.feed.look(), name)[:1]
    ]
    return "; ".join(["nobody collects this stream now: it is gone", *begins])


@router.get("/{name}/remove/")
def ask_removal(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before a stream is removed that no operation uses."""
    look = here.feed.look(name)
    must_own(person.user, stream_of(look, name).owner, f"stream {name!r}")
    made = [operation.made for operation in look.operations.values()]
    if users := sorted(o.name for o in made if name in {o.input_stream, o.output_stream}):
        raise ConflictError(
            f"stream {name!r} is used by {listed('operation', users)}: remove them first"
        )
    return ask(
        request,
        person,
        question=f"Remove stream {name}?",
        loss="What is published on it from then on is refused. Archived messages stay.",
        deed="Remove",
        command=f"streamboss remove-stream {name}",
    )


@router.post("/{name}/remove/")
def remove(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Remove a stream that nobody uses."""
    actions.remove_stream(here.services, person.user, name)
    return done(here, "/streams/", f"stream {name} removed")


def stream_of(look: Look, name: str) -> StreamLook:
    """Return a stream.

    Raises:
        NotFoundError: there is none.
    """
    if name not in look.streams:
        raise NotFoundError(f"there is no stream {name!r}")
    return look.streams[name]


#: What a queue on a stream is, in words.
_WORDS = {
    QueueRole.SUBSCRIPTION: "subscription",
    QueueRole.CONSUMER: "consumer",
    QueueRole.ARCHIVE: "archive",
    QueueRole.FOREIGN: "another client's queue or exchange",
}


def _takers(look: Look, name: str) -> Sequence[OperationLook]:
    return [o for o in look.operations.values() if o.made.input_stream == name]


def _collectors(here: Here, look: Look, name: str) -> Sequence[tuple[QueueRole, str]] | None:
    """Return who collects a stream, by the role of each queue; None: nobody knows."""
    if not look.broker_up:
        return None
    try:
        queues = here.services.runtime.broker.collectors(name)
    except BrokerError:
        return None
    return [(names.parse_queue(queue).role, queue) for queue in queues]
