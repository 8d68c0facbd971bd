"""Archives in the store, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime

import pytest

from manager.errors import ConflictError, NotFoundError
from manager.model import ArchivePhase, Role, Tally
from manager.store import Store
from manager.store.archives import Swept
from streams.errors import BrokerError

TALLY = Tally(
    segments=2,
    size_bytes=2**40,
    first_position=0,
    next_position=5_000_000_000,
    first_at=datetime(2026, 11, 1, tzinfo=UTC),
    last_at=datetime(2026, 11, 2, 3, 4, 5, 6, UTC),
    last_key="archives/s/2026/11/02/x",
)


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
    with store.stopping_archive("s"):
        pass
    with store.stopped_archive("s"):
        pass


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
    with begun.stopped_archive("s") as stopped:
        assert not stopped
    with begun.stopping_archive("s") as stopping:
        assert stopping
    with begun.stopping_archive("s") as stopping:
        assert not stopping
    assert begun.open_archives() == {"s": ArchivePhase.STOPPING}
    with begun.stopped_archive("s") as stopped:
        assert stopped
    assert begun.open_archives() == {}
    begun.note_tally("s", TALLY)
    assert begin(begun)
    assert begun.get_archive("s").tally == TALLY


def test_who_begins_again_at_the_last_moment_is_heard(begun: Store) -> None:
    with begun.stopping_archive("s"):
        pass
    assert begin(begun)
    with begun.stopped_archive("s") as stopped:
        assert not stopped
    assert begun.open_archives() == {"s": ArchivePhase.RECORDING}


def test_a_tally_never_goes_back(begun: Store) -> None:
    begun.note_tally("s", TALLY)
    begun.note_tally("s", Tally(next_position=7))
    assert begun.get_archive("s").tally == TALLY
    assert begun.get_archive("s").tally.messages == 5_000_000_000


def test_a_problem_is_kept_until_it_is_over(begun: Store) -> None:
    begun.note_problem("s", "S3 is away" * 1000)
    assert begun.get_archive("s").problem.startswith("S3 is away")
    begun.note_problem("s", "")
    assert begun.get_archive("s").problem == ""


def test_one_sweeper_at_a_time_gets_an_archive_with_an_age(begun: Store) -> None:
    assert begun.take_sweep() is None
    begin(begun, keep_days=30)
    begun.note_tally("s", TALLY)
    taken = begun.take_sweep()
    assert taken is not None
    assert taken.keep_days == 30
    assert begun.take_sweep() is None
    begun.note_swept("s", Swept(segments=1, size_bytes=2**39, first_position=4_000_000_000))
    tally = begun.get_archive("s").tally
    assert (tally.segments, tally.size_bytes, tally.messages) == (1, 2**39, 1_000_000_000)


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
