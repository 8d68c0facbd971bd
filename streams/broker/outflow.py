"""Publishing at full speed with nothing unconfirmed at the end, over lost connections too."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from streams import names
from streams.broker.connection import LoopConnection
from streams.broker.link import StreamLink
from streams.broker.loop import EventLoop
from streams.errors import BrokerError

#: So much may be unconfirmed; beyond it nothing more is taken.
_WINDOW_MESSAGES, _WINDOW_BYTES = 2000, 16 * 1024 * 1024
#: What the broker refused (a queue is full, say) is sent again after so long.
_REFUSED_PAUSE_S = 1.0

_Sent = tuple[int, Any, bytes]


class Outflow:
    """Takes messages for one stream while it `has_room`, and sends each until it is confirmed.

    `on_room` is called when more may be given. `on_done` is called once: with None when all is
    confirmed after `finish`, or with what ended it; what `oldest` names then may not have arrived.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        stream: str,
        *,
        name: str,
        on_room: Callable[[], None],
        on_done: Callable[[BrokerError | None], None],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._stream, self._say = loop, stream, say
        self._exchange = names.exchange(stream)
        self._on_room, self._on_done = on_room, on_done
        self._again: deque[_Sent] = deque()
        self._unconfirmed: dict[int, _Sent] = {}
        self._unconfirmed_bytes = 0
        #: what was said of each message that isn't confirmed, in the order in which they came
        self._notes: dict[int, Any] = {}
        self._taken = 0
        self._finishing = self._blocked = self._ended = False
        self._connection: LoopConnection | None = None
        self._link = StreamLink(
            loop, urls, stream, name=name, on_up=self._came_up, on_failed=self._end, say=say
        )
        #: how many messages the broker has, and how many of them nobody collected
        self.confirmed = self.uncollected = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be given."""
        return (
            self._link.up
            and not self._blocked
            and not self._again
            and not self._finishing
            and self._window_open
        )

    @property
    def unconfirmed(self) -> int:
        """How many messages were taken and may be lost."""
        return len(self._notes)

    @property
    def oldest(self) -> Any:
        """The note of the first message that isn't confirmed; None when all are."""
        return next(iter(self._notes.values()), None)

    def open(self) -> None:
        """Connect; messages may be given when `on_room` is called."""
        self._link.open()

    def send(self, properties: Any, body: bytes, note: Any = None) -> None:
        """Publish a message; `note` is what `oldest` says of it until it is confirmed."""
        self._taken += 1
        self._notes[self._taken] = note
        self._send((self._taken, properties, body))

    def finish(self) -> None:
        """Take nothing more; end when all is confirmed."""
        self._finishing = True
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
        connection.watch_confirms(self._oldest)
        self._pump()

    def _oldest(self) -> int | None:
        return next(iter(self._unconfirmed), 0 if self._again else None)

    def _pump(self) -> None:
        """Send again what must be, then ask for more, or end."""
        while self._again and self._link.up and not self._blocked and self._window_open:
            self._send(self._again.popleft())
        if self._finishing and not self._notes and self._link.known:
            self._end(None)
        elif self.has_room:
            self._on_room()

    def _send(self, sent: _Sent) -> None:
        assert self._connection is not None  # noqa: S101 - the link is up
        _, properties, body = sent
        number = self._connection.publish(self._exchange, "", properties, body, mandatory=True)
        self._unconfirmed[number] = sent
        self._unconfirmed_bytes += len(body)

    def _note_confirm(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001
        unconfirmed = self._unconfirmed
        while unconfirmed and (first := next(iter(unconfirmed))) <= number and multiple:
            self._settle(first, taken=taken)
        if number in unconfirmed:
            self._settle(number, taken=taken)
        self._pump()

    def _settle(self, number: int, *, taken: bool) -> None:
        sent = self._unconfirmed.pop(number)
        self._unconfirmed_bytes -= len(sent[2])
        if taken:
            self.confirmed += 1
            del self._notes[sent[0]]
        else:
            self._again.append(sent)
            self._blocked = True
            self._loop.call_later(_REFUSED_PAUSE_S, lambda: self._note_blocked(False))  # noqa: FBT003

    def _note_return(self, _exchange: str) -> None:
        if not self.uncollected:
            self._say(f"nobody collects {self._stream!r}: the broker drops what is published")
        self.uncollected += 1

    def _note_blocked(self, blocked: bool) -> None:  # noqa: FBT001
        if blocked:
            self._say("the broker takes nothing just now (memory or disk is short): waiting")
        self._blocked = blocked
        self._pump()

    def _end(self, error: BrokerError | None) -> None:
        if not self._ended:
            self._ended = True
            self._link.close(lambda: self._on_done(error))
