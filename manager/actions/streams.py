"""Streams and subscriptions."""

from manager import topology
from manager.actions.noting import note
from manager.model import Stream, User
from manager.roles import must_make, must_own
from manager.services import Services
from streams.message import Message


def create_stream(services: Services, user: User, name: str) -> tuple[Stream, bool]:
    """Make a stream; return it, and False if it existed already."""
    must_make(user)
    stream, created = topology.create_stream(services, name, user.name)
    if created:
        note(services, user, "stream.created", name)
    return stream, created


def remove_stream(services: Services, user: User, name: str) -> None:
    """Remove a stream that nobody uses."""
    must_own(user, services.store.get_stream(name).owner, f"stream {name!r}")
    topology.remove_stream(services, name)
    note(services, user, "stream.removed", name)


def publish_message(services: Services, user: User, name: str, message: Message) -> bool:
    """Publish one message on a stream, as its owner; say whether anybody collected it."""
    must_own(user, services.store.get_stream(name).owner, f"stream {name!r}")
    collected = services.runtime.broker.publish(name, message)
    note(services, user, "stream.message-published", name, size_bytes=len(message.body))
    return collected


def remove_subscription(services: Services, user: User, stream: str, name: str) -> int:
    """Remove a subscription, as its stream's owner; return how many messages went with it."""
    known = services.store.find_stream(stream)
    must_own(user, known.owner if known else "", f"stream {stream!r}")
    messages = services.runtime.broker.remove_subscription(stream, name)
    note(services, user, "subscription.removed", f"{stream}/{name}", messages=messages)
    return messages
