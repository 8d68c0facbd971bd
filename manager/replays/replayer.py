"""The replayer: plays what the store has for it, each replay on a thread of its own."""

import secrets
import threading
import time
from collections.abc import Iterable
from typing import Protocol

import structlog

from manager.replays.run import Run, RunStore
from manager.replays.state import Replay, ReplayState
from streams.backoff import backoff_s
from streams.errors import StreamsError
from streams.objects import Objects
from streams.settings import Settings

log = structlog.get_logger()
#: So many replays are played at once; others wait.
AT_ONCE = 4
_LOOK_S = 0.5
_END_S = 15.0


class ReplayStore(RunStore, Protocol):
    """What the replayer needs of the store."""

    def take_replay(self, holder: str, *, others: Iterable[str]) -> Replay | None:
        """Take a replay that nobody plays, except `others`."""


class Replayer:
    """Looks for replays on a thread; may be run in several processes, which share them."""

    def __init__(self, settings: Settings, store: ReplayStore) -> None:
        self._urls, self._bucket = settings.need_amqp(), settings.need_bucket()
        self._objects = Objects(settings.s3)
        self._store = store
        self._holder = secrets.token_hex(8)
        self._playing: dict[str, threading.Thread] = {}
        self._failures: dict[str, int] = {}
        self._not_before_s: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replayer", daemon=True)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Pause what plays: it goes on where it was as soon as there is a replayer again."""
        self._stopping.set()
        self._thread.join(_END_S)
        for thread in self._playing.values():
            thread.join(_END_S)

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self._look()
            except StreamsError as error:
                log.warning("replays", error=str(error))
            except Exception:
                log.exception("a look for replays failed; the next one follows")

    def _look(self) -> None:
        """Begin what is to be played, as much as there is room for."""
        self._playing = {replay: t for replay, t in self._playing.items() if t.is_alive()}
        while len(self._playing) < AT_ONCE:
            now_s = time.monotonic()
            waiting = {replay for replay, at_s in self._not_before_s.items() if at_s > now_s}
            others = waiting | set(self._playing)
            if (replay := self._store.take_replay(self._holder, others=others)) is None:
                return
            thread = threading.Thread(target=self._play, args=[replay], name="replay", daemon=True)
            self._playing[replay.request.id] = thread
            thread.start()

    def _play(self, replay: Replay) -> None:
        request, played = replay.request, replay.progress.messages
        if request.limit is not None and played >= request.limit:
            self._end(replay, ReplayState.DONE, "")
            return
        log.info("replays", replay=request.id, stream=request.stream, onto=request.onto)
        try:
            run = Run(
                self._urls,
                self._objects,
                self._bucket,
                self._store,
                holder=self._holder,
                replay=replay,
                stopping=self._stopping,
            )
            run.play()
            self._note_waiting(request.id, waits=run.waits)
        except Exception as error:
            log.exception("a replay met a bug", replay=request.id)
            self._end(replay, ReplayState.FAILED, f"internal error: {error!r}")

    def _note_waiting(self, replay: str, *, waits: bool) -> None:
        """Leave what waits for others a while, longer after each failure in a row."""
        if not waits:
            self._failures.pop(replay, None)
            self._not_before_s.pop(replay, None)
            return
        self._failures[replay] = self._failures.get(replay, 0) + 1
        wait_s = backoff_s(self._failures[replay], first_s=1.0)
        self._not_before_s[replay] = time.monotonic() + wait_s

    def _end(self, replay: Replay, state: ReplayState, reason: str) -> None:
        self._store.keep_replay(
            self._holder, replay.request.id, replay.progress, reason=reason, ended=state
        )
