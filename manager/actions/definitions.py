"""Process definitions: everybody's own."""

from manager.actions.noting import note
from manager.errors import InvalidError
from manager.model import Definition, User
from manager.roles import must_make, sees
from manager.services import Services
from streams.application import appliance_of
from streams.control import TRIAL_BYTES, TrialTold
from streams.definition import ProcessDefinition


def create_definition(
    services: Services, user: User, definition: ProcessDefinition, *, temporary: bool = False
) -> Definition:
    """Register a process definition."""
    must_make(user)
    created = services.store.create_definition(user.name, definition, temporary=temporary)
    note(services, user, "definition.created", str(created.id), definition=definition.name)
    return created


def update_definition(
    services: Services, user: User, number: int, definition: ProcessDefinition
) -> Definition:
    """Make a new version; operations that use it restart by draining."""
    must_make(user)
    owner = sees(user)
    changed = services.store.update_definition(number, definition, owner=owner, by=user.name)
    services.store.forget_breakers(appliance_of(definition.application))
    note(services, user, "definition.changed", str(number), version=changed.version)
    return changed


def restore_definition(services: Services, user: User, number: int, version: int) -> Definition:
    """Make a new version that equals an old one."""
    must_make(user)
    old = services.store.get_definition(number, owner=sees(user), version=version)
    return update_definition(services, user, number, old.definition)


def delete_definition(services: Services, user: User, number: int) -> None:
    """Remove a process definition that no operation uses."""
    must_make(user)
    services.store.delete_definition(number, owner=sees(user))
    note(services, user, "definition.removed", str(number))


def try_definition(
    services: Services, user: User, definition: ProcessDefinition, body: bytes, content_type: str
) -> TrialTold:
    """Run a definition's program once over a message, on a node; nothing is saved."""
    must_make(user)
    if len(body) > TRIAL_BYTES:
        raise InvalidError([f"message: {len(body)} bytes: a try takes {TRIAL_BYTES} at most"])
    note(services, user, "trial.asked", definition.name, program=definition.exec[:200])
    return services.runtime.try_out(definition, body, content_type)
