"""Publishing what a person gives, as it comes or at a rate."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from streams.broker import EventLoop, Outflow
from streams.broker.codec import Outgoing
from streams.errors import BrokerError
from streams.message import PUBLISHED_US, MessageIds, now_us
from tools import console
from tools.link import hinted


class Publisher:
    """Takes messages, and calls `on_done` when every one is confirmed after `finish`.

    `on_done` gets what went wrong, or None. `on_room` is called when more may be given.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        stream: str,
        *,
        content_type: Callable[[bytes], str | None],
        rate: float | None,
        on_room: Callable[[], None],
        on_done: Callable[[BrokerError | None], None],
    ) -> None:
        self._loop = loop
        self._content_type = content_type
        self._gap_s = 1 / rate if rate else 0.0
        self._due_at = 0.0
        self._timer: object = None
        self._on_room = on_room
        self._waiting: deque[bytes] = deque()
        self._ids = MessageIds()
        self._finishing = False

        def done(error: BrokerError | None) -> None:
            loop.cancel(self._timer)
            on_done(hinted(error, stream) if error else None)

        self._outflow = Outflow(
            loop,
            urls,
            stream,
            name=f"publish {stream}",
            on_room=self._pump,
            on_done=done,
            say=console.say,
        )

    @property
    def has_room(self) -> bool:
        """Whether more may be given."""
        return not self._waiting and self._outflow.has_room

    @property
    def confirmed(self) -> int:
        """How many messages the broker has."""
        return self._outflow.confirmed

    @property
    def uncollected(self) -> int:
        """How many of them nobody collected."""
        return self._outflow.uncollected

    @property
    def unconfirmed(self) -> int:
        """How many messages were sent and may be lost."""
        return self._outflow.unconfirmed

    def open(self) -> None:
        """Connect; messages may be given from now on."""
        self._outflow.open()

    def publish(self, bodies: Iterable[bytes]) -> None:
        """Send these as soon as may be."""
        self._waiting.extend(bodies)
        self._pump()

    def finish(self, *, at_once: bool = False) -> None:
        """End when all is confirmed; `at_once`: what wasn't sent yet stays unsent."""
        self._finishing = True
        if at_once:
            self._waiting.clear()
        self._pump()

    def _pump(self) -> None:
        """Send what may be sent now."""
        outflow = self._outflow
        while self._waiting and outflow.has_room and self._is_due():
            self._send(self._waiting.popleft())
        if self._finishing and not self._waiting:
            outflow.finish()
        elif self.has_room:
            self._on_room()

    def _is_due(self) -> bool:
        """Say whether `--rate` lets another go; if not, come back when it does."""
        if not self._gap_s:
            return True
        now = monotonic()
        if now < self._due_at:
            if self._timer is None:
                self._timer = self._loop.call_later(self._due_at - now, self._timed)
            return False
        # who was kept from sending for a while doesn't make up for it in a burst
        self._due_at = max(self._due_at + self._gap_s, now)
        return True

    def _timed(self) -> None:
        self._timer = None
        self._pump()

    def _send(self, body: bytes) -> None:
        us = now_us()
        kind = self._content_type(body)
        headers = {PUBLISHED_US: us}
        self._outflow.send(Outgoing(kind, headers, self._ids.next(), None, us // 1_000_000), body)
