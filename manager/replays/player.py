"""One replay at work: entries at their pace, each published until it is confirmed."""

import gc
from collections.abc import Callable, Sequence
from time import monotonic

from manager.replays.playback import Entry, Playback
from manager.replays.request import Position, ReplayRequest
from manager.replays.speed import Pace
from streams.broker import EventLoop, Outflow
from streams.broker.codec import Outgoing
from streams.errors import StreamsError
from streams.message import REPLAY, REPLAY_OF, MessageIds

#: How soon to ask again for a segment that isn't there yet.
_ASK_S = 0.02
#: So many leave together: while the broker takes these, the next ones are read.
_AT_ONCE = 100
#: Python looks for cycles after so many new objects: by default 700, and a block of a segment has
#: thousands, none of them in a cycle. That took a tenth of a replay's time.
_OBJECTS_BETWEEN_LOOKS = 100_000


class Player:
    """Plays a request; calls `on_done` when everything sent is confirmed, with what ended it.

    `on_begin` is called once, when the stream to play onto was reached.

    After `stop`, and after an error, `progress` says where to go on.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        request: ReplayRequest,
        playback: Playback,
        *,
        on_begin: Callable[[], None] = lambda: None,
        on_done: Callable[[StreamsError | None], None],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._request, self._playback = loop, request, playback
        self._pace = Pace(request.speed)
        self._marks = {REPLAY: request.id, REPLAY_OF: request.stream}
        self._ids = MessageIds() if request.fresh_ids else None
        self._on_begin, self._on_done = on_begin, on_done
        self._has_begun = False
        self._held: tuple[Entry, float] | None = None
        self._timer: object = None
        self._error: StreamsError | None = None
        self._stopping = False
        #: how many messages were published, confirmed or not yet
        self.sent = 0
        #: whether everything wanted was published
        self.complete = False
        self._outflow = Outflow(
            loop,
            urls,
            request.onto,
            name=f"replay {request.stream}",
            on_room=self._play_on,
            on_done=self._done,
            say=say,
        )

    @property
    def confirmed(self) -> int:
        """How many messages the broker has."""
        return self._outflow.confirmed

    @property
    def unconfirmed(self) -> int:
        """How many were sent and may be lost."""
        return self._outflow.unconfirmed

    @property
    def uncollected(self) -> int:
        """How many of them nobody collected."""
        return self._outflow.uncollected

    @property
    def progress(self) -> tuple[Position | None, int]:
        """Where to go on if this ended now, and how many messages were played before that.

        Everything before the position is confirmed, or isn't wanted.
        """
        sent = self._outflow.oldest or (self._held and (self._held[0], self.sent))
        if sent is None:
            return self._playback.position, self.sent
        entry, before = sent
        return entry.place.at(entry.number), before

    def open(self) -> None:
        """Connect and play."""
        _look_for_cycles_rarely()
        self._outflow.open()

    def stop(self) -> None:
        """Send nothing more; it is done when what was sent is confirmed."""
        self._stopping = True
        self._loop.cancel(self._timer)
        self._outflow.finish()

    def _play_on(self) -> None:
        """Send what is there, is due and has room."""
        if not self._has_begun:
            self._has_begun = True
            self._on_begin()
        try:
            for _ in range(_AT_ONCE):
                if not self._outflow.has_room or self._stopping:
                    return
                if (wait_s := self._play_next()) > 0:
                    self._ask_again(wait_s)
                    return
            self._ask_again(0)
        except StreamsError as error:
            self._error = error
            self.stop()

    def _play_next(self) -> float:
        """Send the next message, or return in how many seconds to ask again."""
        entry, due_s = self._held or self._next()
        if entry is None:
            return 0.0 if self._stopping else _ASK_S
        wait_s = due_s - monotonic()
        if wait_s > 0:
            self._held = entry, due_s
            return wait_s
        self._held = None
        self._send(entry)
        if self.sent == self._request.limit:
            self._complete()
        return 0.0

    def _next(self) -> tuple[Entry | None, float]:
        try:
            entry = next(self._playback.entries)
        except StopIteration:
            self._complete()
            return None, 0.0
        if entry is None or self._pace.unbound:
            return entry, 0.0
        return entry, self._pace.due_s(entry.time_us, monotonic())

    def _send(self, entry: Entry) -> None:
        message = entry.message
        properties = Outgoing(
            message.content_type,
            {**message.headers, **self._marks},
            self._ids.next() if self._ids else message.message_id,
            message.correlation_id,
            message.timestamp,
        )
        self._outflow.send(properties, message.body, (entry, self.sent))
        self.sent += 1

    def _complete(self) -> None:
        self.complete = True
        self.stop()

    def _ask_again(self, wait_s: float) -> None:
        self._loop.cancel(self._timer)
        self._timer = self._loop.call_later(wait_s, self._play_on)

    def _done(self, error: StreamsError | None) -> None:
        self._loop.cancel(self._timer)
        self._on_done(error or self._error)


def _look_for_cycles_rarely() -> None:
    if gc.get_threshold()[0] < _OBJECTS_BETWEEN_LOOKS:
        gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
