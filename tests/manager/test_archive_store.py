"""Archives in the store, on SQLite and on PostgreSQL."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from manager.errors import ConflictError, NotFoundError
from manager.model import ArchivePhase, Role, Stored, Tally
from manager.store import Store
from manager.store.archives import Swept
from streams.errors import BrokerError

STORED = Stored(
    segments=2,
    size_bytes=2**40,
    first_position=0,
    next_position=5_000_000_000,
    first_at=datetime(2026, 11, 1, tzinfo=UTC),
    last_at=datetime(2026, 11, 2, 3, 4, 5, 6, UTC),
    last_key="archives/s/2026/11/02/x",
)
TALLY = Tally(**asdict(STORED))


@pytest.fixture
def begun(store: Store) -> Store:
    """A store with one archive."""
    with store.created_stream("s", "ada"):
        pass
    begin(store)
    return store


def begin(store: Store, *, passive: bool = False, keep_days: float | None = None) -> bool:
    with store.begun_archive("s", "ada", passive=passive, keep_days=keep_days) as begun:
        return begun


def stop(store: Store) -> None:
    with store.stopping_archive("s") as mark:
        pass
    with store.stopped_archive("s", mark) as stopped:
        assert stopped


def test_an_archive_is_begun_once_and_changed_after_that(begun: Store) -> None:
    assert not begin(begun, passive=True, keep_days=1.5)
    archive = begun.get_archive("s")
    assert (archive.owner, archive.passive, archive.keep_days) == ("ada", True, 1.5)
    assert archive.phase is ArchivePhase.RECORDING
    assert begun.list_archives() == [archive] == begun.page_archives(limit=5, offset=0).items


def test_a_stream_that_is_not_there_has_no_archive(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no stream 's'"):
        begin(store)
    with pytest.raises(NotFoundError, match="no archive"):
        store.get_archive("s")
    assert store.find_archive("s") is None


def test_what_the_broker_refuses_is_not_kept(store: Store) -> None:
    with store.created_stream("s", "ada"):
        pass
    with (
        pytest.raises(BrokerError, match="refused"),
        store.begun_archive("s", "ada", passive=False, keep_days=None),
    ):
        raise BrokerError("refused")
    assert store.list_archives() == []


def test_an_archive_stops_in_two_steps_and_may_begin_again(begun: Store) -> None:
    assert begun.open_archives() == {"s": ArchivePhase.RECORDING}
    with begun.stopped_archive("s", None) as stopped:
        assert not stopped
    with begun.stopping_archive("s") as mark:
        assert mark
    with begun.stopping_archive("s") as again:
        assert again is None
    assert begun.open_archives() == {"s": ArchivePhase.STOPPING}
    with begun.stopped_archive("s", "another") as stopped:
        assert not stopped
    with begun.stopped_archive("s", mark) as stopped:
        assert stopped
    assert begun.open_archives() == {}
    begun.note_stored("s", STORED)
    assert begin(begun)
    assert begun.get_archive("s").tally == TALLY


def test_who_begins_again_at_the_last_moment_is_heard(begun: Store) -> None:
    with begun.stopping_archive("s") as mark:
        pass
    assert begin(begun)
    with begun.stopped_archive("s", mark) as stopped:
        assert not stopped
    assert begun.open_archives() == {"s": ArchivePhase.RECORDING}


def test_what_is_stored_is_added_once(begun: Store) -> None:
    begun.note_stored("s", STORED)
    begun.note_stored("s", STORED)
    begun.note_stored("s", replace(STORED, next_position=7))
    assert begun.get_archive("s").tally == TALLY
    more = replace(STORED, segments=1, size_bytes=5, next_position=STORED.next_position + 1)
    begun.note_stored("s", more)
    tally = begun.get_archive("s").tally
    assert (tally.segments, tally.size_bytes, tally.first_at) == (3, 2**40 + 5, STORED.first_at)
    assert tally.messages == 5_000_000_001


def test_segments_that_follow_one_another_are_added_as_one(begun: Store) -> None:
    later = replace(STORED, first_position=STORED.next_position, next_position=6_000_000_000)
    begun.note_stored("s", STORED.followed_by(later))
    tally = begun.get_archive("s").tally
    assert (tally.segments, tally.messages) == (4, 6_000_000_000)


def test_a_problem_is_kept_until_it_is_over(begun: Store) -> None:
    begun.note_problem("s", "S3 is away" * 1000)
    assert begun.get_archive("s").problem.startswith("S3 is away")
    begun.note_problem("s", "")
    assert begun.get_archive("s").problem == ""


def test_one_sweeper_at_a_time_gets_an_archive_with_an_age(begun: Store) -> None:
    assert begun.take_sweep() is None
    begin(begun, keep_days=30)
    begun.note_stored("s", STORED)
    taken = begun.take_sweep()
    assert taken is not None
    assert taken.keep_days == 30
    assert begun.take_sweep() is None
    begun.note_swept("s", Swept(1, 2**39, 4_000_000_000, STORED.last_at))
    tally = begun.get_archive("s").tally
    assert (tally.segments, tally.size_bytes, tally.messages) == (1, 2**39, 1_000_000_000)
    assert tally.first_at == STORED.last_at
    begun.note_swept("s", Swept(1, 2**39, None, None))
    assert begun.get_archive("s").tally.messages == 0


def test_a_stream_goes_when_its_archive_has_stopped(begun: Store) -> None:
    with (
        pytest.raises(ConflictError, match="'streamboss stop-archiving-stream s' first"),
        begun.removed_stream("s"),
    ):
        pass
    stop(begun)
    with begun.removed_stream("s"):
        pass
    assert begun.list_archives() == []


def test_who_inherits_gets_archives_too(begun: Store) -> None:
    begun.create_user("ada", Role.USER, "hash")
    begun.create_user("boss", Role.ADMIN, "hash")
    begun.delete_user("ada", heir="boss")
    assert begun.get_archive("s").owner == "boss"
