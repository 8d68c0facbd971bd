"""A replay that is ended at any point, and goes on: the sequence is the archive's, and whole."""

import random
from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from manager.replays.request import ReplayRequest
from streams import names
from streams.archive import Record, record_of
from streams.broker import Session
from streams.broker.properties import to_properties
from streams.message import REPLAY, REPLAY_OF, Message
from streams.settings import Settings
from tests.manager.replays.playing import SECOND_US, START_US, Archive, Collector, record
from tests.streams.archive.messages import messages

S = ReplayRequest("s", "s")
#: RabbitMQ itself breaks over a double that isn't finite
_takeable = messages().filter(lambda message: "inf" not in repr(message.headers))


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An archive of 5,000 messages, some of them stored twice."""
    archive = Archive(s3_settings)
    for start in range(0, 5000, 500):
        # each archiver was killed with 40 messages stored and not acknowledged
        numbers = range(max(0, start - 40), start + 500)
        archive.add([record(n, arrived_s=start + n / 1000) for n in numbers])
    return archive


@pytest.mark.parametrize("seed", range(2))
def test_pauses_at_any_point_make_no_difference(
    archive: Archive, session: Session, seed: int
) -> None:
    collector, chance, position = Collector(session, "s"), random.Random(seed), None  # noqa: S311
    while not (played := archive.play(S, position, stop_at=chance.randint(1, 2500))).complete:
        position = played.position
    assert collector.numbers() == list(range(5000))


@pytest.mark.parametrize("seed", range(2))
def test_after_kills_nothing_is_missing_and_what_comes_again_comes_in_order(
    archive: Archive, session: Session, seed: int
) -> None:
    collector, chance, position = Collector(session, "s"), random.Random(seed), None  # noqa: S311
    while not (played := archive.play(S, position, kill_at=chance.randint(1, 2500))).complete:
        position = played.position or position
    came = collector.numbers()
    assert set(came) == set(range(5000))
    assert all(later <= earlier + 1 for earlier, later in pairwise(came)), "something was left out"


def test_any_sequence_archived_and_replayed_is_the_same_sequence(
    s3_settings: Settings, session: Session
) -> None:
    numbers = count()

    @given(st.lists(_takeable, max_size=12), st.sets(st.integers(1, 11)), st.integers(0, 12))
    @settings(max_examples=15, phases=[Phase.generate])  # to shrink takes too long with real parts
    def check(sequence: list[Message], cuts: set[int], stop_at: int) -> None:
        stream = f"s{next(numbers)}"
        collector, archive = Collector(session, stream), Archive(s3_settings, stream)
        published = _published(collector, sequence)
        for segment in _cut(published, cuts):
            archive.add(segment)
        request = ReplayRequest(stream, stream)
        first = archive.play(request, stop_at=stop_at)
        if not first.complete:
            archive.play(request, first.position)
        marks = {REPLAY: request.id, REPLAY_OF: stream}
        assert collector.take() == [
            replace(message, headers={**message.headers, **marks}) for message in published
        ]

    check()


def _published(collector: Collector, sequence: list[Message]) -> list[Message]:
    """Publish these as a foreign client would, each with an id of its own; return what came."""
    exchange = names.exchange(collector.stream)
    for number, message in enumerate(sequence):
        properties = to_properties(replace(message, message_id=f"{number} {message.message_id}"))
        collector.session.channel.basic_publish(exchange, "", message.body, properties)
    return collector.take()


def _cut(sequence: list[Message], cuts: set[int]) -> list[list[Record]]:
    """Return the records in segments."""
    records = [
        record_of(message, arrived_us=START_US + number * SECOND_US)
        for number, message in enumerate(sequence)
    ]
    ends = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    return [records[start:end] for start, end in pairwise(ends) if start < end]
