"""On a definition's form: try what is filled in, with a sample typed or taken from a stream."""

import threading
import time
from base64 import b64decode, b64encode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from manager.actions import definitions as actions
from manager.console import definition_form as form_of
from manager.console.numbers import size
from manager.console.pages import HEADERS, fragment
from manager.console.shown import Shown, shown_body
from manager.console.visitor import Form, Here, Person
from manager.errors import ConflictError, InvalidError, NotFoundError
from manager.roles import must_make
from manager.services import Services
from streams.control import TRIAL_BYTES, TrialTold
from streams.errors import StreamsError
from streams.message import Message

router = APIRouter(prefix="/definitions")
#: How long a message is waited for on a stream, how often looked, and by how many at once.
_WAIT_S, _LOOK_S = 5.0, 0.2
_MOST_WAITING = 8
_waiting = threading.BoundedSemaphore(_MOST_WAITING)
_TEXT, _BYTES = "text/plain", "application/octet-stream"


@router.post("/try/")
def try_out(here: Here, person: Person, form: Form) -> HTMLResponse:
    """Run the program once, on a node, and show what came of it; nothing is saved."""
    try:
        must_make(person.user)
        definition = form_of.definition_of(form)
        body, kind = _sample(form)
        told = actions.try_definition(here.services, person.user, definition, body, kind)
    except StreamsError as error:
        problems = getattr(error, "problems", [str(error)])
        return HTMLResponse(fragment("trial", problems=problems), headers=HEADERS)
    outputs = _shown(told, definition.output_content_type or kind)
    return HTMLResponse(fragment("trial", problems=[], told=told, outputs=outputs), headers=HEADERS)


@router.post("/sample/")
def take_sample(here: Here, person: Person, form: Form) -> JSONResponse:
    """Take the latest message that comes on a stream within a moment: a look, no demand.

    Where none comes, it is the newest of the stream's archive.
    """
    must_make(person.user)
    stream = form.get("sample_stream", "").strip()
    try:
        message, said = _latest(here.services, stream)
        if len(message.body) > TRIAL_BYTES:
            has, most = size(len(message.body)), size(TRIAL_BYTES)
            raise ConflictError(f"its message has {has}: {most} at most")
    except StreamsError as error:
        return JSONResponse({"problem": str(error)}, headers=HEADERS)
    try:
        told = {"sample": message.body.decode(), "as": "text"}
    except UnicodeDecodeError:
        told = {"sample": b64encode(message.body).decode(), "as": "base64"}
    return JSONResponse({**told, "said": said}, headers=HEADERS)


def _sample(form: dict[str, str]) -> tuple[bytes, str]:
    """Return the sample, and its content type."""
    text = form.get("sample", "").replace("\r\n", "\n")
    if form.get("sample_as") != "base64":
        return text.encode(), _TEXT
    try:
        return b64decode("".join(text.split()), validate=True), _BYTES
    except ValueError:
        raise InvalidError(["sample message: isn't base64"]) from None


def _shown(told: TrialTold, kind: str) -> list[Shown]:
    return [
        shown_body(b64decode(output.body), kind, output.size_bytes, "auto")
        for output in told.outputs
    ]


def _latest(services: Services, stream: str) -> tuple[Message, str]:
    """Return a message, and where it comes from, in words."""
    services.store.get_stream(stream)
    if not _waiting.acquire(blocking=False):
        raise ConflictError("others wait for messages: try again soon")
    tap = services.runtime.broker.tap(stream)
    try:
        deadline_s = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline_s:
            messages, _ = tap.take()
            if messages:
                return messages[-1], "taken"
            time.sleep(_LOOK_S)
        return _archived(services, stream)
    finally:
        tap.close()
        _waiting.release()


def _archived(services: Services, stream: str) -> tuple[Message, str]:
    nothing = f"nothing came on stream {stream!r} within {_WAIT_S:g} s"
    try:
        key = services.store.get_archive(stream).tally.last_key
    except NotFoundError:
        key = None
    if key is None:
        raise ConflictError(nothing)
    return services.runtime.place.newest(key), f"{nothing}: taken is the newest of its archive"
