"""Speaks to the store, on a thread of its own: what is to be archived, what was stored."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from manager.model import ArchivePhase, Stored, Tally
from manager.store import Store
from streams.backoff import backoff_s
from streams.broker import Session, topology
from streams.errors import StreamsError

log = structlog.get_logger()
#: How often it is asked what is to be archived.
_ASK_S = 1.0
_LONGEST_S = 15.0
T = TypeVar("T")
OnOpen = Callable[[Mapping[str, ArchivePhase]], None]


class Clerk:
    """Keeps what it is told until the store has it. Every method may be called from any thread."""

    def __init__(self, store: Store, urls: Sequence[str], on_open: OnOpen) -> None:
        self._store, self._on_open = store, on_open
        self._session = Session(urls, name="streamboss archiver: ends")
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._stored: dict[str, Stored] = {}
        self._problems: dict[str, str] = {}
        self._ends: dict[str, str | None] = {}
        self._told, self._stopping = threading.Event(), threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="archiver store", daemon=True)

    def start(self) -> None:
        """Begin to ask and to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left, and end."""
        self._stopping.set()
        self._told.set()
        self._thread.join(10)
        self._session.close()

    def tally(self, stream: str) -> Tally:
        """Return what an archive holds, what wasn't told yet included. Blocks."""
        with self._telling:
            tally = self._store.get_archive(stream).tally
            with self._lock:
                waiting = self._stored.get(stream)
        if waiting is None:
            return tally
        return replace(
            tally,
            next_position=waiting.next_position,
            last_at=waiting.last_at,
            last_key=waiting.last_key,
        )

    def stored(self, stream: str, stored: Stored) -> None:
        """Say what was stored and acknowledged."""
        with self._lock:
            before = self._stored.get(stream)
            self._stored[stream] = before.followed_by(stored) if before else stored
        self._told.set()

    def problem(self, stream: str, problem: str) -> None:
        """Say what keeps a stream from being archived; empty when it is over."""
        with self._lock:
            self._problems[stream] = problem
        self._told.set()

    def end(self, stream: str, mark: str | None) -> None:
        """Say that all before the end's mark is stored; None: that the queue is gone."""
        with self._lock:
            self._ends[stream] = mark
        self._told.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._told.wait(_ASK_S)
            self._told.clear()
            self._once()
        self._once()

    def _once(self) -> None:
        try:
            self._tell()
            self._on_open(self._store.open_archives())
            self._failures = 0
        except StreamsError as error:
            if not self._failures:
                log.warning("the store wasn't told", error=str(error))
            self._failures += 1
            self._stopping.wait(backoff_s(self._failures, first_s=0.5, longest_s=_LONGEST_S))

    def _tell(self) -> None:
        for stream in list(self._stored):
            with self._telling:
                self._tell_stored(stream)
        for stream in list(self._problems):
            with self._lock:
                problem = self._problems.pop(stream)
            with self._back(self._problems, stream, problem):
                self._store.note_problem(stream, problem)
        for stream in list(self._ends):
            with self._lock:
                mark = self._ends.pop(stream)
            with self._back(self._ends, stream, mark):
                self._end(stream, mark)

    def _tell_stored(self, stream: str) -> None:
        with self._lock:
            stored = self._stored.pop(stream)
        try:
            self._store.note_stored(stream, stored)
        except StreamsError:
            with self._lock:
                later = self._stored.get(stream)
                self._stored[stream] = stored.followed_by(later) if later else stored
            raise

    @contextmanager
    def _back(self, waiting: dict[str, T], stream: str, said: T) -> Iterator[None]:
        """Keep what couldn't be told, unless something newer is to be told by now."""
        try:
            yield
        except StreamsError:
            with self._lock:
                waiting.setdefault(stream, said)
            raise

    def _end(self, stream: str, mark: str | None) -> None:
        with closing(self._session):  # nobody would serve its heartbeats until the next end
            self._end_on_broker(stream, mark)

    def _end_on_broker(self, stream: str, mark: str | None) -> None:
        with self._store.stopped_archive(stream, mark) as ends:
            if ends:
                self._session.call(partial(topology.delete_archive, stream=stream))
        if ends:
            log.info("archive stopped", stream=stream)
        elif mark is None and self._store.open_archives().get(stream) is ArchivePhase.RECORDING:
            log.warning("somebody deleted the queue of an archive", stream=stream)
            self._session.call(partial(topology.declare_archive, stream=stream))
