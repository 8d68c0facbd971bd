"""Streams, operations and nodes, made and removed in the store and on the broker: both or neither.

The store's transaction stays open while the broker acts: what the broker refuses isn't kept, and
nobody else makes the same while what was begun is taken back. What a crash in between leaves on the
broker is harmless: it is taken over when the same is made again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from manager.errors import ConflictError, listed
from manager.model import Operation, Stream
from manager.services import Services
from streams import names
from streams.errors import BrokerError
from streams.names import QueueRole

log = logging.getLogger(__name__)


def create_stream(services: Services, name: str, owner: str) -> tuple[Stream, bool]:
    """Make a stream; return it, and False if it existed already."""
    store, broker = services.store, services.runtime.broker
    if found := store.find_stream(name):
        return found, False
    try:
        with store.created_stream(name, owner) as stream, _undone_on_failure() as undo:
            undo.append(partial(_take_back_stream, services, name))
            broker.create_stream(name)
    except ConflictError:
        # somebody made it at the same moment; or else what the store said is all there is to say
        if found := store.find_stream(name):
            return found, False
        raise
    services.runtime.poke()
    return stream, True


def remove_stream(services: Services, name: str) -> None:
    """Remove a stream that nobody uses.

    Raises:
        ConflictError: somebody does; says who.
    """
    if name == names.EVENTS_STREAM:
        raise ConflictError(f"stream {name!r} is the manager's own")
    with services.store.removed_stream(name):
        if users := _users_of(services, name):
            raise ConflictError(f"stream {name!r} is used by {users}: remove them first")
        services.runtime.broker.delete_stream(name)
    services.runtime.poke()


def create_operation(
    services: Services, operation: Operation, given: set[str]
) -> tuple[Operation, bool]:
    """Make an operation and the streams it lacks; return it, and False if it existed already.

    Raises:
        ConflictError: it exists, and differs in one of the fields `given`.
    """
    if found := services.store.find_operation(operation.name):
        return _equal(found, operation, given), False
    try:
        _create_operation(services, operation)
    except ConflictError:
        if found := services.store.find_operation(operation.name):  # made at the same moment
            return _equal(found, operation, given), False
        raise
    services.runtime.poke()
    return operation, True


def _create_operation(services: Services, operation: Operation) -> None:
    broker = services.runtime.broker
    with (
        services.store.created_operation(operation) as new_streams,
        _undone_on_failure() as undo,
    ):
        for stream in new_streams:
            undo.append(partial(_take_back_stream, services, stream))
            broker.create_stream(stream)
        undo.append(partial(broker.delete_operation, operation.name))
        broker.create_operation(operation.name)
        broker.set_backlog(operation.name, operation.backlog)


def change_operation(
    services: Services, name: str, change: Callable[[Operation], Operation]
) -> Operation:
    """Give an operation other options, or another definition."""
    with services.store.changed_operation(name, change) as (before, after):
        if after.backlog != before.backlog:
            services.runtime.broker.set_backlog(name, after.backlog)
    services.runtime.poke()
    return after


def remove_operation(services: Services, name: str) -> tuple[int, int]:
    """Remove an operation; return how many waiting messages and dead letters went with it."""
    with services.store.removed_operation(name):
        thrown_away = services.runtime.broker.delete_operation(name)
    services.runtime.poke()
    return thrown_away


def add_node(services: Services, name: str, owner: str, offers: Sequence[str]) -> dict[str, Any]:
    """Add a node; return what its agent.json says of the broker, its own password included."""
    broker = services.runtime.broker
    with services.store.created_node(name, owner, offers), _undone_on_failure() as undo:
        undo.append(partial(broker.remove_node, name))
        joining = dict(broker.add_node(name))
    services.runtime.poke()
    return joining


def remove_node(services: Services, name: str) -> None:
    """Remove a node: its broker user goes, and with it its connections."""
    with services.store.removed_node(name):
        services.runtime.broker.remove_node(name)
    services.runtime.forget_node(name)
    services.runtime.poke()


def subscription_of(queue: str) -> tuple[str, str]:
    """Return the stream and the name of a subscription's queue."""
    stream = names.parse_queue(queue).owner
    return stream, queue.removeprefix(f"{QueueRole.SUBSCRIPTION}.{stream}.")


def _users_of(services: Services, stream: str) -> str:
    """Say who uses a stream, operations apart; empty if nobody does."""
    broker = services.runtime.broker
    subscriptions = [
        name
        for owner, name in (subscription_of(queue) for queue, _ in broker.subscriptions())
        if owner == stream
    ]
    if subscriptions:
        return listed("subscription", sorted(subscriptions))
    queues = broker.foreign_bindings(stream)
    return listed("queue", sorted(queues)) if queues else ""


def _equal(found: Operation, wanted: Operation, given: set[str]) -> Operation:
    differing = [
        f"{field} is {_plain(getattr(found, field))}, not {_plain(getattr(wanted, field))}"
        for field in sorted(given)
        if getattr(found, field) != getattr(wanted, field)
    ]
    if differing:
        raise ConflictError(
            f"operation {found.name!r} exists already with other values: {'; '.join(differing)}"
        )
    return found


def _plain(value: object) -> str:
    return repr(str(value)) if isinstance(value, str) else str(value)


def _take_back_stream(services: Services, name: str) -> None:
    """Delete a stream made a moment ago, unless a foreign client found it useful already."""
    if not services.runtime.broker.foreign_bindings(name):
        services.runtime.broker.delete_stream(name)


@contextmanager
def _undone_on_failure() -> Iterator[list[Callable[[], object]]]:
    """Give a list of acts that are run, last first, if the block fails."""
    undo: list[Callable[[], object]] = []
    try:
        yield undo
    except BaseException:
        for act in reversed(undo):
            try:
                act()
            except BrokerError as error:  # the first failure is the one to tell
                log.warning("something unused stays on the broker: %s", error)
        raise
