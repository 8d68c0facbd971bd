"""Replays that the manager plays: one process at a time, on after a kill, as a person asks."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from manager.replays.replayer import Replayer
from manager.replays.request import ReplayRequest
from manager.replays.speed import Speed
from manager.replays.state import Progress, Replay, ReplayState
from manager.store import Store
from streams.broker import Session
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.replays.playing import Archive, Collector, numbered, segment_of
from tests.tools.test_stream_archive import environment_of

SLOW = Speed.parse("300/s")


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An archive of `s` with 600 messages."""
    archive = Archive(s3_settings)
    for start in range(0, 600, 100):
        archive.add(numbered(*range(start, start + 100)))
    return archive


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A store that knows the stream `s`."""
    store = Store(sqlite_url)
    with store.created_stream("s", "me"):
        pass
    yield store
    store.close()


@pytest.fixture
def collector(session: Session) -> Collector:
    """Whoever collects the stream `s`."""
    return Collector(session, "s")


@pytest.fixture
def replayer(archive: Archive, store: Store) -> Iterator[Replayer]:
    """A replayer at work."""
    replayer = Replayer(archive.settings, store)
    replayer.start()
    yield replayer
    replayer.stop()


def asked(store: Store, **wanted: Any) -> ReplayRequest:
    """Ask for a replay of `s`."""
    request = ReplayRequest("s", "s", **wanted)
    store.create_replay(request, "me")
    return request


def now(store: Store, request: ReplayRequest) -> Replay:
    """Return how a replay is."""
    return store.get_replay("s", request.id)


def until(store: Store, request: ReplayRequest, state: ReplayState) -> Replay:
    """Wait for a replay's state."""
    eventually(lambda: now(store, request).state is state, what=f"it is {state}")
    return now(store, request)


def test_a_replay_is_played_to_its_end(
    store: Store, replayer: Replayer, collector: Collector
) -> None:
    done = until(store, asked(store), ReplayState.DONE)
    assert (done.progress.messages, done.progress.problems, done.reason) == (600, (), "")
    assert done.ended_at is not None
    assert collector.numbers() == list(range(600))


def test_a_pause_holds_it_and_it_goes_on_where_it_was(
    store: Store, replayer: Replayer, collector: Collector
) -> None:
    request = asked(store, speed=Speed.parse("100/s"), limit=400)
    eventually(lambda: now(store, request).progress.messages > 10)
    store.ask_replay("s", request.id, ReplayState.PAUSED)
    eventually(lambda: not _plays(), what="nobody plays it")
    held = now(store, request)
    assert held.state is ReplayState.PAUSED
    assert collector.numbers() == list(range(held.progress.messages))
    store.ask_replay("s", request.id, ReplayState.RUNNING)
    done = until(store, request, ReplayState.DONE)
    assert done.progress.messages == 400
    assert collector.numbers() == list(range(held.progress.messages, 400))


def test_a_cancelled_replay_ends(store: Store, replayer: Replayer, collector: Collector) -> None:
    request = asked(store, speed=SLOW)
    eventually(lambda: now(store, request).progress.messages > 10)
    store.delete_replay("s", request.id)
    eventually(lambda: not _plays(), what="its thread ends")
    assert len(collector.numbers()) < 600


def _plays() -> bool:
    return any(thread.name == "replay" for thread in threading.enumerate())


def test_damage_is_named_and_a_missing_stream_fails_it(
    store: Store, replayer: Replayer, archive: Archive, collector: Collector
) -> None:
    damaged = archive.add(numbered(100))
    archive.objects.put(archive.bucket, damaged.key, segment_of(numbered(100))[:-30])
    done = until(store, asked(store), ReplayState.DONE)
    assert done.progress.messages == 500
    assert damaged.key in done.progress.problems[0]
    with store.created_stream("gone", "me"):
        pass
    request = ReplayRequest("s", "gone")
    store.create_replay(request, "me")
    failed = until(store, request, ReplayState.FAILED)
    assert "'gone'" in failed.reason
    assert failed.progress == Progress()


def test_one_that_holds_a_replay_holds_it_alone(store: Store) -> None:
    request = asked(store)
    assert store.take_replay("one", others=()) is not None
    assert store.take_replay("two", others=()) is None
    assert store.keep_replay("two", request.id, Progress()) is None
    assert store.keep_replay("one", request.id, Progress(messages=3)) is ReplayState.RUNNING
    store.keep_replay("one", request.id, Progress(messages=4), release=True)
    taken = store.take_replay("two", others=())
    assert taken is not None
    assert taken.progress.messages == 4


class Process:
    """A replayer in a process of its own."""

    def __init__(self, settings: Settings, database_url: str, folder: Path) -> None:
        self._environment = {
            **environment_of(settings, folder),
            "STREAMBOSS_DATABASE_URL": database_url,
        }
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or another one."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tools.main", "manager", "--role", "replayer"],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None


@pytest.fixture
def process(archive: Archive, sqlite_url: str, tmp_path: Path) -> Iterator[Process]:
    """A replayer's process, not yet started."""
    process = Process(archive.settings, sqlite_url, tmp_path)
    yield process
    process.end(signal.SIGKILL)


def test_after_sigkill_another_goes_on_with_nothing_left_out(
    process: Process,
    store: Store,
    collector: Collector,
) -> None:
    request = asked(store, speed=SLOW)
    process.start()
    eventually(lambda: now(store, request).progress.messages > 50, within_s=30)
    process.end(signal.SIGKILL)
    process.start()
    eventually(lambda: now(store, request).state is ReplayState.DONE, within_s=40)
    came = collector.numbers()
    assert set(came) == set(range(600))
    assert all(later <= earlier + 1 for earlier, later in pairwise(came)), "something was left out"


def test_after_sigterm_the_next_goes_on_at_once_and_exactly_there(
    process: Process, store: Store, collector: Collector
) -> None:
    request = asked(store, speed=SLOW)
    process.start()
    eventually(lambda: now(store, request).progress.messages > 50, within_s=30)
    process.end(signal.SIGTERM)
    taken = store.take_replay("test", others=())
    assert taken is not None, "it was let go"
    store.keep_replay("test", request.id, taken.progress, release=True)
    process.start()
    eventually(lambda: now(store, request).state is ReplayState.DONE, within_s=30)
    assert collector.numbers() == list(range(600))
