"""Publishing at full speed with nothing unconfirmed at the end, over lost connections too."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from streams import names
from streams.broker import EventLoop, LoopConnection
from streams.broker.properties import outgoing
from streams.errors import BrokerError
from streams.message import PUBLISHED_US, MessageIds, now_us
from tools import console
from tools.link import Link

#: So much may be unconfirmed; beyond it nothing more is read.
_WINDOW_MESSAGES, _WINDOW_BYTES = 2000, 16 * 1024 * 1024
#: What the broker refused (a queue is full, say) is sent again after so long.
_REFUSED_PAUSE_S = 1.0

_Sent = tuple[Any, bytes]


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
        self._loop, self._stream = loop, stream
        self._exchange = names.exchange(stream)
        self._content_type = content_type
        self._gap_s = 1 / rate if rate else 0.0
        self._due_at = 0.0
        self._timer: object = None
        self._on_room, self._on_done = on_room, on_done
        self._waiting: deque[bytes] = deque()
        self._again: deque[_Sent] = deque()
        self._unconfirmed: dict[int, _Sent] = {}
        self._unconfirmed_bytes = 0
        self._ids = MessageIds()
        self._finishing = self._blocked = self._ended = False
        self._connection: LoopConnection | None = None
        self._link = Link(
            loop, urls, stream, name=f"publish {stream}", on_up=self._came_up, on_failed=self._end
        )
        #: how many messages the broker has, and how many of them nobody collected
        self.confirmed = self.uncollected = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be given."""
        return not self._waiting and not self._again and self._window_open

    @property
    def unconfirmed(self) -> int:
        """How many messages were sent and may be lost."""
        return len(self._unconfirmed) + len(self._again)

    def open(self) -> None:
        """Connect; messages may be given from now on."""
        self._link.open()

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

    @property
    def _window_open(self) -> bool:
        return len(self._unconfirmed) < _WINDOW_MESSAGES and self._unconfirmed_bytes < _WINDOW_BYTES

    def _came_up(self, connection: LoopConnection) -> None:
        """Send what an earlier connection took with it, then go on."""
        self._again.extendleft(reversed(self._unconfirmed.values()))
        self._unconfirmed, self._unconfirmed_bytes = {}, 0
        self._blocked = False
        self._connection = connection
        connection.on_confirm = self._note_confirm
        connection.on_return = self._note_return
        connection.on_blocked = self._note_blocked
        self._pump()

    def _pump(self) -> None:
        """Send what may be sent now."""
        while self._link.up and not self._blocked and self._window_open:
            if self._again:
                self._send(self._again.popleft())
            elif self._waiting and self._is_due():
                self._send(self._stamped(self._waiting.popleft()))
            else:
                break
        if self._finishing and not self._waiting and not self.unconfirmed and self._link.known:
            self._end(None)
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

    def _stamped(self, body: bytes) -> _Sent:
        us = now_us()
        kind = self._content_type(body)
        headers = {PUBLISHED_US: us}
        return outgoing(kind, headers, self._ids.next(), None, us // 1_000_000), body

    def _send(self, sent: _Sent) -> None:
        assert self._connection is not None  # noqa: S101 - the link is up
        number = self._connection.publish(self._exchange, "", *sent, mandatory=True)
        self._unconfirmed[number] = sent
        self._unconfirmed_bytes += len(sent[1])

    def _note_confirm(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001
        unconfirmed = self._unconfirmed
        while unconfirmed and (first := next(iter(unconfirmed))) <= number and multiple:
            self._settle(first, taken=taken)
        if number in unconfirmed:
            self._settle(number, taken=taken)
        self._pump()

    def _settle(self, number: int, *, taken: bool) -> None:
        sent = self._unconfirmed.pop(number)
        self._unconfirmed_bytes -= len(sent[1])
        if taken:
            self.confirmed += 1
        else:
            self._again.append(sent)
            self._blocked = True
            self._loop.call_later(_REFUSED_PAUSE_S, lambda: self._note_blocked(False))  # noqa: FBT003

    def _note_return(self, _exchange: str) -> None:
        if not self.uncollected:
            console.say(f"nobody collects {self._stream!r}: the broker drops what is published")
        self.uncollected += 1

    def _note_blocked(self, blocked: bool) -> None:  # noqa: FBT001
        if blocked:
            console.say("the broker takes nothing just now (memory or disk is short): waiting")
        self._blocked = blocked
        self._pump()

    def _end(self, error: BrokerError | None) -> None:
        self._loop.cancel(self._timer)
        if not self._ended:
            self._ended = True
            self._link.close(lambda: self._on_done(error))
