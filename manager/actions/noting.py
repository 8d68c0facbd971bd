"""What a person did becomes an event."""

from typing import Any

from manager.events import Event
from manager.model import User
from manager.services import Services


def note(services: Services, user: User, event: str, name: str, **fields: Any) -> None:
    """Keep what `user` did to `name`, and let the stream of events have it soon."""
    services.store.note_events([Event(event, name, fields, by=user.name)])
    services.runtime.poke()
