"""A look at a stream for people: no demand, bounded by the broker, the oldest dropped."""

from collections.abc import Sequence

from streams.broker import Channel, Session, topology
from streams.broker.properties import from_properties
from streams.message import MAX_INLINE_BYTES, Message

#: So much is kept between two looks.
KEPT_MESSAGES = 50


class Tap:
    """A connection of its own, opened at the first look; used by one caller at a time."""

    def __init__(self, urls: Sequence[str], stream: str) -> None:
        self._stream = stream
        self._session = Session(urls, name=f"streamboss manager: tap {stream}", patience_s=1.0)
        self._session.on_channel = self._declare
        self._queue = ""

    def take(self) -> tuple[list[Message], bool]:
        """Return what came since the last look, and whether that is only the end of it.

        Raises:
            BrokerError: the broker is away, or there is no such stream; the next look may succeed.
        """
        messages: list[Message] = []
        full = False
        while len(messages) < KEPT_MESSAGES:
            method, properties, body = self._session.call(
                lambda channel: channel.basic_get(self._queue, auto_ack=True)
            )
            if method is None or properties is None:
                break
            full = full or method.message_count >= KEPT_MESSAGES - 1
            messages.append(from_properties(properties, body or b""))
        return messages, full

    def close(self) -> None:
        """End it; its queue goes, too."""
        self._session.close()

    def _declare(self, channel: Channel) -> None:
        self._queue = topology.declare_tap(
            channel, self._stream, messages=KEPT_MESSAGES, size_bytes=MAX_INLINE_BYTES
        )
