"""A replay in the foreground: played on a loop, shown on a terminal, paused by ^C."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from manager.replays.playback import playback_of
from manager.replays.player import Player
from manager.replays.request import Position, ReplayRequest
from manager.replays.selection import Selection
from streams.broker import EventLoop, Signals
from streams.errors import ObjectError, StreamMissingError, StreamsError
from streams.objects import Objects
from tools import console
from tools.counts import count
from tools.names import missing_stream
from tools.times import shown

_REDRAW_S = 0.1


class Replaying:
    """One run of the command; afterwards it says what became of it."""

    def __init__(
        self,
        urls: Sequence[str],
        objects: Objects,
        bucket: str,
        request: ReplayRequest,
        position: Position | None,
    ) -> None:
        self._objects, self._bucket, self._request = objects, bucket, request
        self._start = position
        self._loop = EventLoop()
        self._playback = playback_of(objects, bucket, request, position, console.say)
        self._player = Player(
            self._loop,
            urls,
            request,
            self._playback,
            on_begin=self._say_what,
            on_done=self._done,
            say=console.say,
        )
        self._error: StreamsError | None = None
        self._interrupts = 0
        self._ended = False
        self._total_bytes: int | None = None

    def run(self) -> int:
        """Play all of it, or until ^C; return the exit status."""
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM), self._interrupt)
        try:
            with Signals(self._loop, handlers), self._progress():
                self._player.open()
                self._loop.run()
        finally:
            self._playback.close()
            self._loop.close()
        return self._tell()

    def summary(self) -> dict[str, Any]:
        """Return what became of it, as JSON has it."""
        request, player = self._request, self._player
        return {
            "replay": request.id,
            "stream": request.stream,
            "onto": request.onto,
            "messages": player.confirmed,
            "repeats": self._playback.repeats,
            "uncollected": player.uncollected,
            "complete": not self._unfinished,
            "problems": self._playback.problems,
            "resume": self._resume(),
        }

    @property
    def _unfinished(self) -> bool:
        return not (self._ended and self._player.complete) or self._error is not None

    def _resume(self) -> str | None:
        """Return what `--resume` takes to go on; None where all is done or nothing has begun."""
        position, _ = self._player.progress
        if position is None or not self._unfinished:
            return None
        return f"{self._request.id}:{position}"

    def _say_what(self) -> None:
        request = self._request
        since = f"from {shown(request.since_us)} " if request.since_us is not None else ""
        until = f"to {shown(request.until_us)}" if request.until_us is not None else ""
        console.say(
            f"replaying {request.stream!r} onto {request.onto!r}, what was published"
            f" {since}{until}; replay {request.id}"
        )

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            self._loop.stop()
            return
        if self._player.unconfirmed:
            console.say("waiting for the broker's confirms; ^C again gives up")
        self._player.stop()

    def _done(self, error: StreamsError | None) -> None:
        if isinstance(error, StreamMissingError):
            error = StreamMissingError(missing_stream(self._request.onto))
        self._error, self._ended = error, True
        self._loop.stop()

    def _tell(self) -> int:
        if self._player.confirmed or self._error is None:
            self._say_how_much()
        if resume := self._resume():
            rest = command(self._request, resume, self._player.progress[1])
            console.say(f"this goes on from there:\n{rest}")
        if self._error is not None:
            raise self._error
        if self._unfinished:
            return console.INTERRUPTED
        return 1 if self._playback.problems else 0

    def _say_how_much(self) -> None:
        player, request = self._player, self._request
        for problem in self._playback.problems:
            console.say(f"damaged, and left out: {problem}")
        repeats = self._playback.repeats
        twice = f"; {count(repeats, 'message')} stored twice left out" if repeats else ""
        console.say(
            f"{count(player.confirmed, 'message')} of {request.stream!r} replayed onto"
            f" {request.onto!r}{twice}"
        )
        if player.uncollected > 1:
            console.say(f"{player.uncollected} of {player.confirmed} were collected by nobody")

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Show how far it is, on a terminal."""
        if not sys.stderr.isatty():
            yield
            return
        from tools.progress import bar  # noqa: PLC0415 - 50 ms, for terminals alone

        threading.Thread(target=self._measure, daemon=True).start()
        with bar(f"replaying {self._request.stream}", None) as show:
            redraw = self._redrawing(show)
            self._loop.call_later(_REDRAW_S, redraw)
            yield
            redraw(last=True)

    def _measure(self) -> None:
        """Find out how much there is, while it is being played already."""
        total = 0
        with suppress(ObjectError):
            for segment in Selection(self._objects, self._bucket, self._request, self._start):
                if segment.late:
                    break
                total += segment.info.size if segment.info else 0
            self._total_bytes = total

    def _redrawing(self, show: Callable[[int, int, int | None], None]) -> Callable[..., None]:
        def redraw(*, last: bool = False) -> None:
            done, total = self._playback.read_bytes, self._total_bytes
            if total is not None:
                done = total if self._player.complete else min(done, total)
            show(done, self._player.confirmed, total)
            if not last:
                self._loop.call_later(_REDRAW_S, redraw)

        return redraw


def command(request: ReplayRequest, resume: str, done: int) -> str:
    """Return the command line that plays the rest of a request."""
    words = ["streamboss", "stream-archive", request.stream, "--onto", request.onto]
    for option, us in (("--from", request.since_us), ("--to", request.until_us)):
        words += [option, shown(us)] if us is not None else []
    words += ["--speed", str(request.speed)]
    words += ["--limit", str(request.limit - done)] if request.limit is not None else []
    words += ["--fresh-ids"] if request.fresh_ids else []
    return shlex.join([*words, "--resume", resume])
