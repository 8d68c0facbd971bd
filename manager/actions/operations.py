"""Operations, what waits for them, and what they gave up on."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from manager import topology
from manager.actions.noting import note
from manager.model import EVERY, Chosen, DemandMode, Operation, User
from manager.roles import must_make, must_own
from manager.services import Services
from streams.application import appliance_of


def create_operation(
    services: Services, user: User, wanted: Operation, given: set[str]
) -> tuple[Operation, bool]:
    """Make an operation and the streams it lacks; return it, and False if it existed already."""
    must_make(user)
    operation, created = topology.create_operation(services, wanted, given)
    if created:
        note(
            services,
            user,
            "operation.created",
            operation.name,
            process_definition_id=operation.process_definition_id,
            input_stream=operation.input_stream,
            output_stream=operation.output_stream,
        )
    return operation, created


def change_operation(
    services: Services, user: User, name: str, change: Callable[[Operation], Operation]
) -> Operation:
    """Give an operation other options, or another definition."""
    before = owned_operation(services, user, name)
    after = topology.change_operation(services, name, change)
    if changes := _changes(before, after):
        note(services, user, "operation.changed", name, changes=changes)
    if after.demand is DemandMode.ALWAYS:  # a `launch`: whatever failed to boot is tried again
        services.store.forget_breakers(appliance_of(after.definition.application))
        services.runtime.poke()
    return after


def remove_operation(services: Services, user: User, name: str) -> tuple[int, int]:
    """Remove an operation; return how many waiting messages and dead letters went with it."""
    owned_operation(services, user, name)
    messages, dead = topology.remove_operation(services, name)
    note(services, user, "operation.removed", name, messages=messages, dead_letters=dead)
    return messages, dead


def purge(services: Services, user: User, name: str) -> int:
    """Throw away what waits for an operation; return how many messages."""
    owned_operation(services, user, name)
    count = services.runtime.broker.purge(name)
    note(services, user, "operation.purged", name, messages=count)
    return count


def purge_dead_letters(services: Services, user: User, name: str) -> int:
    """Throw away an operation's dead letters; return how many."""
    owned_operation(services, user, name)
    count = services.runtime.broker.purge_dead(name)
    note(services, user, "operation.dead-letters-purged", name, messages=count)
    return count


def redrive(
    services: Services,
    user: User,
    name: str,
    limit: int | None = None,
    chosen: Chosen = EVERY,
) -> int:
    """Give an operation its dead letters again, the chosen ones; return how many."""
    owned_operation(services, user, name)
    count = services.runtime.broker.redrive(name, limit, chosen)
    if count:
        note(services, user, "operation.redriven", name, messages=count)
    return count


def owned_operation(services: Services, user: User, name: str) -> Operation:
    """Return an operation that `user` may change."""
    operation = services.store.get_operation(name)
    must_own(user, operation.owner, f"operation {name!r}")
    return operation


def _changes(before: Operation, after: Operation) -> dict[str, Any]:
    """Return what is different now, as the API shows it."""
    old, new = asdict(before), asdict(after)
    # the definition is named by its id, and the revision follows
    names = {item.name for item in fields(Operation)} - {"definition", "revision"}
    return {name: new[name] for name in sorted(names) if old[name] != new[name]}
