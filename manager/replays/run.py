"""One of the manager's replays at work: played on a thread, its progress kept every second."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from manager.errors import StoreUnavailableError
from manager.replays.playback import playback_of
from manager.replays.player import Player
from manager.replays.request import Position, ReplayRequest
from manager.replays.state import Progress, Replay, ReplayState
from streams.broker import EventLoop
from streams.errors import BrokerUnreachableError, ObjectsUnreachableError, StreamsError
from streams.objects import Objects

log = structlog.get_logger()
KEEP_S = 1.0
#: Who couldn't say for so long that it plays must end: soon another one may begin.
_SILENT_S = 6.0
_PASSING = (BrokerUnreachableError, ObjectsUnreachableError, StoreUnavailableError)


class RunStore(Protocol):
    """What a run needs of the store."""

    def keep_replay(
        self,
        holder: str,
        replay: str,
        progress: Progress,
        *,
        reason: str = "",
        ended: ReplayState | None = None,
        release: bool = False,
    ) -> ReplayState | None:
        """Note how far it is; return what is wanted of it, None if it is ours no more."""


class Run:
    """Plays until the replay ends, is paused or taken away, or `stopping` is set.

    What was sent is confirmed then, and noted, unless somebody else may have gone on.
    """

    def __init__(
        self,
        urls: Sequence[str],
        objects: Objects,
        bucket: str,
        store: RunStore,
        *,
        holder: str,
        replay: Replay,
        stopping: threading.Event,
    ) -> None:
        self._store, self._holder, self._replay = store, holder, replay
        self._stopping = stopping
        self._loop = EventLoop()
        request, before = replay.request, replay.progress
        start = Position.parse(request.stream, before.position) if before.position else None
        self._playback = playback_of(objects, bucket, request, start, self._say)
        self._player = Player(
            self._loop,
            urls,
            _rest(request, before.messages),
            self._playback,
            on_done=self._done,
            say=self._say,
        )
        self._reason = ""
        self._error: StreamsError | None = None
        self._wanted: ReplayState | None = ReplayState.RUNNING
        self._kept_s = time.monotonic()
        #: whether it waits for something that may come back
        self.waits = False

    def play(self) -> None:
        """Play, and note how it ended."""
        try:
            self._loop.call_later(KEEP_S, self._keep)
            self._player.open()
            self._loop.run()
        finally:
            self._playback.close()
            self._loop.close()
        if self._wanted is not None:
            self._note_end()

    def _say(self, line: str) -> None:
        """Note what it waits for; called from other threads, too."""
        self._reason = "" if line.endswith(" is back") else line

    def _done(self, error: StreamsError | None) -> None:
        self._error = error
        self._loop.stop()

    def _keep(self) -> None:
        """Note the progress, and do what is wanted."""
        self._loop.call_later(KEEP_S, self._keep)
        try:
            self._wanted = self._store.keep_replay(
                self._holder, self._replay.request.id, self._progress(), reason=self._reason
            )
            self._kept_s = time.monotonic()
        except StoreUnavailableError:
            if time.monotonic() - self._kept_s > _SILENT_S:
                self._wanted = None
        if self._wanted is None:
            self._loop.stop()
        elif self._wanted is not ReplayState.RUNNING or self._stopping.is_set():
            self._player.stop()

    def _progress(self) -> Progress:
        before = self._replay.progress
        position, messages = self._player.progress
        return Progress(
            position=str(position) if position else before.position,
            messages=before.messages + messages,
            repeats=before.repeats + self._playback.repeats,
            problems=tuple(dict.fromkeys([*before.problems, *self._playback.problems])),
        )

    def _note_end(self) -> None:
        ended, self.waits = None, isinstance(self._error, _PASSING)
        if self._error is not None and not self.waits:
            ended = ReplayState.FAILED
        elif self._error is None and self._player.complete:
            ended = ReplayState.DONE
        try:
            self._store.keep_replay(
                self._holder,
                self._replay.request.id,
                self._progress(),
                reason=str(self._error or ""),
                ended=ended,
                release=True,
            )
        except StoreUnavailableError as error:
            log.warning("a replay's end wasn't noted: its last part comes again", error=str(error))


def _rest(request: ReplayRequest, played: int) -> ReplayRequest:
    """Return what is left of a request when so many messages were played."""
    return request if request.limit is None else replace(request, limit=request.limit - played)
