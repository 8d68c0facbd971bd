"""Replays on a real broker and a real S3 server: what comes out is what the archive holds."""

from dataclasses import replace

import pytest

from manager.replays.request import ReplayRequest
from manager.replays.speed import Speed
from streams.archive import message_of
from streams.broker import Session
from streams.errors import StreamMissingError
from streams.message import PUBLISHED_US, REPLAY, REPLAY_OF
from streams.settings import Settings
from tests.manager.replays.playing import (
    START_US,
    Archive,
    Collector,
    numbered,
    record,
    segment_of,
)

S = ReplayRequest("s", "s")


def between(since_s: float, until_s: float | None = None) -> ReplayRequest:
    """Return a request for a time, in seconds after the archive's start."""
    until_us = None if until_s is None else START_US + int(until_s * 1_000_000)
    return replace(S, since_us=START_US + int(since_s * 1_000_000), until_us=until_us)


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An empty archive of the stream `s`."""
    return Archive(s3_settings)


@pytest.fixture
def collector(session: Session) -> Collector:
    """Whoever collects the stream `s`."""
    return Collector(session, "s")


def test_a_message_comes_again_as_it_was_with_two_marks(
    archive: Archive, collector: Collector
) -> None:
    first = record(1)
    archive.add([first])
    assert archive.play(S).complete
    (came,) = collector.take()
    assert came.headers == {**message_of(first).headers, REPLAY: S.id, REPLAY_OF: "s"}
    assert replace(came, headers={}) == replace(message_of(first), headers={})


def test_many_segments_come_in_the_archives_order(archive: Archive, collector: Collector) -> None:
    for start in range(0, 60, 10):
        archive.add(numbered(*range(start, start + 10)))
    played = archive.play(S)
    assert (played.sent, played.complete) == (60, True)
    assert collector.numbers() == list(range(60))


def test_what_was_stored_twice_comes_once(archive: Archive, collector: Collector) -> None:
    archive.add(numbered(0, 1, 2))
    archive.add([record(n, arrived_s=10 + n) for n in (1, 2, 3)])  # a crash before the ack
    archive.add([record(n, arrived_s=20 + n) for n in (2, 4)])  # and another one
    played = archive.play(S)
    assert collector.numbers() == [0, 1, 2, 3, 4]
    assert played.repeats == 3


def test_equal_messages_of_one_segment_and_of_distant_ones_come_each_time(
    archive: Archive, collector: Collector
) -> None:
    archive.add(numbered(0, 0))
    archive.add(numbered(10))
    archive.add(numbered(20))
    archive.add([record(0, arrived_s=30)])
    archive.play(S)
    assert collector.numbers() == [0, 0, 10, 20, 0]


def test_a_paused_replay_goes_on_exactly_there(archive: Archive, collector: Collector) -> None:
    archive.add(numbered(*range(3000)))
    archive.add([record(n, arrived_s=5000 + n) for n in range(2900, 6000)])
    archive.add([record(n, arrived_s=10_000 + n) for n in range(5990, 6100)])
    position, rounds = None, 0
    while not (played := archive.play(S, position, stop_at=700)).complete:
        position, rounds = played.position, rounds + 1
    assert rounds > 1
    assert collector.numbers() == list(range(6100))


def test_a_time_range_is_by_publication(archive: Archive, collector: Collector) -> None:
    for start in range(0, 100, 10):
        archive.add(numbered(*range(start, start + 10)))
    archive.play(between(25, 41))
    assert collector.numbers() == list(range(25, 42))


def test_a_time_range_finds_what_arrived_late(archive: Archive, collector: Collector) -> None:
    """The archiver was away from 10 to 100, and the queue kept it all for it."""
    archive.add(numbered(*range(10)))
    archive.add([record(n, arrived_s=100 + n / 100) for n in range(10, 60)])
    archive.add([record(n, arrived_s=101 + n / 100) for n in range(60, 100)])
    archive.add(numbered(*range(110, 120)))
    archive.play(between(5, 70))
    assert collector.numbers() == list(range(5, 71))


def test_a_time_in_the_future_is_no_excuse(archive: Archive, collector: Collector) -> None:
    """A publisher's clock is a year ahead: its message counts by its arrival."""
    archive.add([record(0), record(1, at_s=30e6, arrived_s=1), record(2)])
    archive.play(between(0, 10))
    assert collector.numbers() == [0, 1, 2]


def test_nothing_in_the_time_wanted_is_an_empty_replay(
    archive: Archive, collector: Collector
) -> None:
    archive.add(numbered(*range(10)))
    played = archive.play(between(1000, 2000))
    assert (played.sent, played.complete) == (0, True)
    assert collector.numbers() == []


def test_a_limit_ends_it_and_says_where(archive: Archive, collector: Collector) -> None:
    archive.add(numbered(*range(10)))
    archive.add(numbered(*range(10, 20)))
    played = archive.play(replace(S, limit=12))
    assert (played.sent, played.complete) == (12, True)
    archive.play(S, played.position)
    assert collector.numbers() == list(range(20))


def test_fresh_ids_are_fresh_and_nothing_else_changes(
    archive: Archive, collector: Collector
) -> None:
    archive.add(numbered(0, 1))
    archive.play(replace(S, fresh_ids=True))
    came = collector.take()
    ids = {message.message_id for message in came}
    assert len(ids) == 2
    assert not ids & {"id-0", "id-1"}
    assert [message.headers[PUBLISHED_US] for message in came] == [START_US, START_US + 1_000_000]


def test_a_damaged_segment_is_named_and_the_next_one_follows(
    archive: Archive, collector: Collector
) -> None:
    archive.add(numbered(0, 1))
    damaged = archive.add(numbered(2))
    archive.objects.put(archive.bucket, damaged.key, segment_of(numbered(2, 3))[:-30])
    archive.add(numbered(4))
    played = archive.play(S)
    assert played.complete
    assert collector.numbers() == [0, 1, 4]
    (problem,) = played.problems
    assert damaged.key in problem


def test_a_stream_that_isnt_there_gets_nothing(archive: Archive, session: Session) -> None:
    archive.add(numbered(0))
    played = archive.play(replace(S, onto="missing"))
    assert isinstance(played.error, StreamMissingError)
    assert (played.sent, played.complete) == (0, False)


def test_an_even_pace_spreads_it(archive: Archive, collector: Collector) -> None:
    """Paused at once, a paced replay has sent what was due, and no more."""
    archive.add(numbered(*range(100)))
    played = archive.play(replace(S, speed=Speed.parse("0.01/s")), stop_at=1)
    assert played.sent == 1
    assert collector.numbers() == [0]
    rest = archive.play(S, played.position)
    assert rest.complete
    assert collector.numbers() == list(range(1, 100))
