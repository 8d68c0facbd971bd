"""Making streams and operations: a form each."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from manager.actions import operations, streams
from manager.api.bodies import StreamBody
from manager.api.operations import wanted_of
from manager.api.reading import checked
from manager.console.forms import MENDABLE, Filled
from manager.console.pages import again, done, page
from manager.console.visitor import Form, Here, Person
from manager.model import Definition
from manager.roles import must_make, sees

#: Beside `/streams/` and `/operations/`: whatever may follow those is a name.
router = APIRouter(prefix="/new")
#: So many are offered to choose from; any other may be typed.
_MOST_STREAMS, _MOST_DEFINITIONS = 500, 1000
_OPERATION = ("name", "process_definition_id", "input_stream", "output_stream", "demand")
Given = Annotated[str, Query(max_length=100)]


@router.get("/stream/")
def ask_stream(request: Request, person: Person) -> Response:
    """Show the form for a stream."""
    must_make(person.user)
    return page(request, "new_stream", person, filled=Filled())


@router.post("/stream/")
def create_stream(request: Request, here: Here, person: Person, form: Form) -> Response:
    """Make a stream."""
    try:
        name = checked(StreamBody, {"name": form.get("name", "").strip()}).name
        _, created = streams.create_stream(here.services, person.user, name)
    except MENDABLE as error:
        return again(request, "new_stream", person, form=form, error=error, fields=("name",))
    said = f"stream {name} {'created' if created else 'exists already'}"
    return done(here, f"/streams/{name}/", said)


@router.get("/operation/")
def ask_operation(
    request: Request,
    here: Here,
    person: Person,
    *,
    definition: Given = "",
    input: Given = "",  # noqa: A002 - as the query calls it
    output: Given = "",
) -> Response:
    """Show the form for an operation; links to it may fill in what they know."""
    must_make(person.user)
    given = {"process_definition_id": definition, "input_stream": input, "output_stream": output}
    return page(request, "new_operation", person, filled=Filled(given), **_choices(here, person))


@router.post("/operation/")
def create_operation(request: Request, here: Here, person: Person, form: Form) -> Response:
    """Make an operation, and the streams that it lacks."""
    values = _operation_values(form)
    try:
        wanted, given = wanted_of(here.services, person.user, values)
        _, created = operations.create_operation(here.services, person.user, wanted, given)
    except MENDABLE as error:
        more = {"form": form, "error": error, "fields": _OPERATION, **_choices(here, person)}
        return again(request, "new_operation", person, **more)
    said = f"operation {wanted.name} {'created' if created else 'exists already'}"
    return done(here, f"/operations/{wanted.name}/", said)


def _operation_values(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says as the API takes it. Pure."""
    values: dict[str, Any] = {name: form.get(name, "").strip() for name in _OPERATION}
    number = values["process_definition_id"]
    if number.isascii() and number.removeprefix("-").isdigit():
        values["process_definition_id"] = int(number)
    return values


def _choices(here: Here, person: Person) -> dict[str, Any]:
    """Return what there is to choose from."""
    names = sorted(name for name in here.feed.look().streams if not name.startswith("streamboss."))
    owner = sees(person.user)
    found = here.services.store.page_definitions(owner=owner, limit=_MOST_DEFINITIONS, offset=0)
    return {
        "streams": names[:_MOST_STREAMS],
        "definitions": [(d.id, _title(d)) for d in reversed(found.items) if d.id > 0],
    }


def _title(definition: Definition) -> str:
    made = definition.definition
    return f"{definition.id}: {made.name} ({made.exec})"
