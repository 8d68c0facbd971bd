"""`/api/operations/`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter

from manager.actions import operations as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import OperationBody, OperationPatch, RedriveBody
from manager.api.logins import Maker, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, load, parse, problems, takes
from manager.errors import InvalidError, NotFoundError
from manager.model import Backlog, Chosen, Definition, Instances, Operation, OperationStatus, User
from manager.roles import sees
from manager.services import Services
from streams.names import EVENTS_STREAM

router = APIRouter(prefix="/api/operations", tags=["operations"])


@router.get("/")
def list_operations(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the operations and what they do."""
    page = services.store.page_operations(limit=asked.limit, offset=asked.offset)
    return asked.answer(page, lambda operation: _view(services, operation))


@router.post("/", status_code=201, openapi_extra=takes(OperationBody))
def create_operation(user: Maker, services: Parts, raw: Body) -> Answer:
    """Create an operation and the streams it lacks; 200 if it exists already like this."""
    wanted, given = wanted_of(services, user, load(raw))
    operation, created = actions.create_operation(services, user, wanted, given)
    return made(_view(services, operation), created=created)


@router.get("/{name}/")
def get_operation(name: Name, _: Viewer, services: Parts) -> Answer:
    """Show an operation and what it does."""
    return Answer(_view(services, services.store.get_operation(name)))


@router.patch("/{name}/", openapi_extra=takes(OperationPatch))
def change_operation(name: Name, user: Maker, services: Parts, raw: Body) -> Answer:
    """Change what the body names: demand, instances, times, backlog, definition."""
    actions.owned_operation(services, user, name)  # said before what is wrong with the body
    change = change_of(services, user, load(raw))
    return Answer(_view(services, actions.change_operation(services, user, name, change)))


@router.delete("/{name}/")
def delete_operation(name: Name, user: Maker, services: Parts) -> Answer:
    """Remove an operation; says how many messages went with it."""
    messages, dead_letters = actions.remove_operation(services, user, name)
    return Answer({"name": name, "messages": messages, "dead_letters": dead_letters})


@router.post("/{name}/purge/")
def purge(name: Name, user: Maker, services: Parts) -> Answer:
    """Throw away what waits in an operation's queue."""
    return Answer({"purged": actions.purge(services, user, name)})


@router.get("/{name}/dead-letters/")
def list_dead_letters(name: Name, _: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the first 1,000 messages that an operation gave up on."""
    services.store.get_operation(name)
    return asked.cut(services.runtime.broker.dead_letters(name), views.dead_letter)


@router.delete("/{name}/dead-letters/")
def purge_dead_letters(name: Name, user: Maker, services: Parts) -> Answer:
    """Throw away an operation's dead letters."""
    return Answer({"purged": actions.purge_dead_letters(services, user, name)})


@router.post("/{name}/redrive/", openapi_extra=takes(RedriveBody, required=False))
def redrive(name: Name, user: Maker, services: Parts, raw: Body) -> Answer:
    """Give an operation its dead letters again, attempts from 1."""
    body = parse(RedriveBody, raw or b"{}")
    chosen = Chosen(body.message_id, body.matching)
    return Answer({"redriven": actions.redrive(services, user, name, body.limit, chosen)})


@router.get("/{name}/logs/")
def list_logs(name: Name, _: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the last lines of an operation's stderr, oldest first."""
    services.store.get_operation(name)
    return asked.cut(services.runtime.logs(name), views.log_entry)


def wanted_of(services: Services, user: User, values: Any) -> tuple[Operation, set[str]]:
    """Return the operation that a body asks for, and the fields it names.

    Raises:
        InvalidError: with every problem.
    """
    definition, unknown = _definition(services, user, values)
    found = [*problems(OperationBody, values), *unknown, *_stream_problems(values)]
    if found or definition is None:
        raise InvalidError(found)
    body = OperationBody.model_validate(values)
    operation = Operation(
        name=body.name,
        owner=user.name,
        process_definition_id=definition.id,
        definition=definition.definition,
        input_stream=body.input_stream,
        output_stream=body.output_stream,
        **_options(body),
    )
    return operation, set(values)


def change_of(services: Services, user: User, values: Any) -> Callable[[Operation], Operation]:
    """Return what makes of an operation one with what a body names."""
    definition, unknown = _definition(services, user, values)
    if found := [*problems(OperationPatch, values), *unknown]:
        raise InvalidError(found)
    options = _options(OperationPatch.model_validate(values))
    changes = {name: options[name] for name in values if name in options}
    if definition is not None:
        changes["process_definition_id"] = definition.id
        changes["definition"] = definition.definition
    return lambda operation: replace(operation, **changes)


def _options(body: OperationBody | OperationPatch) -> dict[str, Any]:
    return {
        "demand": body.demand,
        "instances": Instances(body.instances.min, body.instances.max),
        "linger_s": body.linger_s,
        "drain_s": body.drain_s,
        "backlog": Backlog(**body.backlog.model_dump()) if body.backlog else Backlog(),
    }


def _definition(services: Services, user: User, values: Any) -> tuple[Definition | None, list[str]]:
    """Return the definition that a body names, if it does, and what is wrong with that."""
    number = values.get("process_definition_id") if isinstance(values, dict) else None
    if type(number) is not int or problems(OperationPatch, {"process_definition_id": number}):
        return None, []  # said with the field's other problems
    try:
        return services.store.get_definition(number, owner=sees(user)), []
    except NotFoundError as error:
        return None, [f"process_definition_id: {error}"]


def _stream_problems(values: Any) -> list[str]:
    """Return what is wrong with two streams that may each be well."""
    streams = values if isinstance(values, dict) else {}
    source, target = streams.get("input_stream"), streams.get("output_stream")
    if target == EVENTS_STREAM:
        return [f"output_stream: {target!r} is the manager's own"]
    if isinstance(source, str) and source == target:
        return [
            f"output_stream: must differ from its input stream ({source!r}): it would feed itself"
        ]
    return []


def _view(services: Services, operation: Operation) -> views.Json:
    status = services.runtime.statuses().get(operation.name, OperationStatus())
    return views.operation(operation, status)
