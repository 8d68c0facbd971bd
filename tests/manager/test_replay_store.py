"""Replays in the store, on each kind of database."""

import pytest

from manager.errors import ConflictError, NotFoundError
from manager.model import Role
from manager.replays.request import ReplayRequest
from manager.replays.speed import Speed
from manager.replays.state import Progress, ReplayState
from manager.store import Store


@pytest.fixture(autouse=True)
def _streams(store: Store) -> None:
    for name in ("s", "t"):
        with store.created_stream(name, "me"):
            pass


def asked(store: Store, **wanted: object) -> str:
    """Ask for a replay of `s` onto `t`; return its id."""
    return store.create_replay(ReplayRequest("s", "t", **wanted), "me").request.id  # type: ignore[arg-type]


def test_a_request_comes_back_as_it_was(store: Store) -> None:
    request = ReplayRequest("s", "t", 1, 2**60, Speed.parse("2.5x"), 2**40, fresh_ids=True)
    made = store.create_replay(request, "me")
    assert store.get_replay("s", request.id) == made
    assert (made.request, made.state, made.progress) == (request, ReplayState.RUNNING, Progress())
    assert store.page_replays(stream="t", limit=9, offset=0).total == 0
    assert store.page_replays(stream=None, limit=9, offset=0).items == [made]
    with pytest.raises(NotFoundError):
        store.get_replay("t", request.id)


def test_the_oldest_is_taken_first_and_by_one_alone(store: Store) -> None:
    first, second = asked(store), asked(store)
    taken = [store.take_replay(holder, others=()) for holder in ("one", "two", "three")]
    assert [replay and replay.request.id for replay in taken] == [first, second, None]
    assert store.keep_replay("two", first, Progress(messages=9)) is None
    assert store.get_replay("s", first).progress == Progress()


def test_what_was_let_go_goes_on_with_its_progress(store: Store) -> None:
    replay = asked(store)
    progress = Progress("here:7", 7, 1, ("a segment: damaged",))
    store.take_replay("one", others=())
    store.keep_replay("one", replay, progress, reason="S3 is away", release=True)
    assert store.take_replay("two", others=[replay]) is None
    taken = store.take_replay("two", others=())
    assert taken is not None
    assert (taken.progress, taken.reason) == (progress, "S3 is away")


def test_a_pause_is_heard_by_who_plays_and_an_end_is_the_end(store: Store) -> None:
    replay = asked(store)
    store.take_replay("one", others=())
    store.ask_replay("s", replay, ReplayState.PAUSED)
    assert store.keep_replay("one", replay, Progress(), release=True) is ReplayState.PAUSED
    assert store.take_replay("two", others=()) is None
    assert not store.has_replays()
    store.ask_replay("s", replay, ReplayState.RUNNING)
    assert store.has_replays()
    store.take_replay("two", others=())
    store.keep_replay("two", replay, Progress(), ended=ReplayState.DONE)
    assert store.replay_states() == {replay: (ReplayState.DONE, "")}
    with pytest.raises(ConflictError, match="is done"):
        store.ask_replay("s", replay, ReplayState.RUNNING)


def test_a_stream_stays_while_a_replay_needs_it_and_takes_the_ended_ones_along(
    store: Store,
) -> None:
    replay = asked(store)
    for stream in ("s", "t"):
        with pytest.raises(ConflictError, match="replay"), store.removed_stream(stream):
            pass
    store.take_replay("one", others=())
    store.keep_replay("one", replay, Progress(), ended=ReplayState.FAILED, reason="x")
    with store.removed_stream("s"):
        pass
    assert store.replay_states() == {}


def test_the_heir_of_a_user_gets_the_replays(store: Store) -> None:
    for name in ("me", "heir"):
        store.create_user(name, Role.ADMIN, "hash")
    replay = asked(store)
    store.delete_user("me", heir="heir")
    assert store.get_replay("s", replay).owner == "heir"
