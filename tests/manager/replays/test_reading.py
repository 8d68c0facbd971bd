"""What a replay asks of S3, and what becomes of it when S3 fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from manager.replays.request import ReplayRequest
from streams.broker import Session
from streams.errors import ObjectLoginError, ObjectRefusedError
from streams.settings import Settings
from tests.faults import Fault, FaultyWay
from tests.manager.replays.playing import SECOND_US, START_US, Archive, Collector, numbered, record

S = ReplayRequest("s", "s")


@pytest.fixture
def way(s3_settings: Settings) -> Iterator[FaultyWay]:
    """A way to S3 that counts, and fails as told."""
    way = FaultyWay(s3_settings.s3)
    yield way
    way.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a failure be known at the first try."""
    monkeypatch.setattr("streams.objects.connection.ATTEMPTS", 1)
    monkeypatch.setattr("manager.replays.ahead._FIRST_S", 0.05)


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An empty archive."""
    return Archive(s3_settings)


@pytest.fixture
def collector(session: Session) -> Collector:
    """Whoever collects the stream `s`."""
    return Collector(session, "s")


def through(way: FaultyWay, archive: Archive) -> Archive:
    """Return the archive, seen through a way."""
    return Archive(replace(archive.settings, s3=way.access))


def test_a_long_archive_is_neither_listed_nor_read_before_the_first_message(
    way: FaultyWay, archive: Archive, collector: Collector
) -> None:
    segments = 1200  # a little more than a page lists
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: archive.add([record(n, at_s=60 * n)]), range(segments)))
    since_us = START_US + 600 * 60 * SECOND_US
    played = through(way, archive).play(replace(S, since_us=since_us, limit=1))
    assert (played.sent, collector.numbers()) == (1, [600])
    listed = way.count(f"GET /{archive.bucket}?")
    fetched = {r.split("?")[0].split()[1] for r in way.requests if ".avro" in r}
    assert 0 < listed <= 5  # year, month, day, and a page or two
    assert len(fetched) <= 6  # what may reach over, the one wanted, and those read ahead


def test_what_begins_after_the_time_wanted_isnt_fetched_ahead(
    way: FaultyWay, archive: Archive, collector: Collector
) -> None:
    for start in range(0, 400, 20):
        archive.add(numbered(*range(start, start + 20)))
    until_us = START_US + 30 * SECOND_US
    through(way, archive).play(replace(S, until_us=until_us))
    assert collector.numbers() == list(range(31))
    assert len({r.split("?")[0].split()[1] for r in way.requests if ".avro" in r}) <= 3


def test_an_s3_that_comes_back_is_waited_for(
    way: FaultyWay, archive: Archive, collector: Collector
) -> None:
    for start in range(0, 60, 20):
        archive.add(numbered(*range(start, start + 20)))
    way.inject(Fault(status=503), contains="?", times=2)  # lists
    way.inject(Fault(status=503), method="HEAD", times=2)
    assert through(way, archive).play(S).complete
    assert collector.numbers() == list(range(60))


def test_wrong_bytes_and_a_vanished_segment_are_named_and_left_out(
    way: FaultyWay, archive: Archive, collector: Collector
) -> None:
    keys = [archive.add(numbered(*range(start, start + 20))) for start in range(0, 80, 20)]
    way.inject(Fault(wrong_at=200), method="GET", contains=keys[1].key, times=9)
    way.inject(Fault(status=404), contains=keys[2].key, times=9)
    played = through(way, archive).play(S)
    assert played.complete
    assert collector.numbers() == [*range(20), *range(60, 80)]
    assert [keys[1].key in played.problems[0], keys[2].key in played.problems[1]] == [True, True]


def test_a_refusal_ends_it_and_it_goes_on_where_it_was(
    way: FaultyWay, archive: Archive, collector: Collector
) -> None:
    keys = [archive.add(numbered(*range(start, start + 20))) for start in range(0, 60, 20)]
    way.inject(Fault(status=403), contains=keys[2].key, times=9)
    played = through(way, archive).play(S)
    assert isinstance(played.error, ObjectRefusedError)
    assert not played.complete
    assert archive.play(S, played.position).complete
    assert collector.numbers() == list(range(60))


def test_wrong_keys_are_no_reason_to_wait(archive: Archive, collector: Collector) -> None:
    archive.add(numbered(0))
    access = replace(archive.settings.s3, secret_access_key="wrong")
    played = Archive(replace(archive.settings, s3=access)).play(S)
    assert isinstance(played.error, ObjectLoginError)
    assert collector.numbers() == []
