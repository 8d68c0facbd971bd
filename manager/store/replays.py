"""Replays in the store: what was asked for, and how far each one is.

Whoever plays a replay holds it by a lease of its row, which ends by the database's clock: so one
process at a time plays it, and another goes on where the last one ended.
"""

from collections.abc import Iterable

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError, listed
from manager.replays.request import ReplayRequest
from manager.replays.speed import Speed
from manager.replays.state import UNFINISHED, Progress, Replay, ReplayState
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import ReplayRow, StreamRow, now

#: Who doesn't say anything for so long plays no more.
HOLD_S = 9.0
_REASON_LENGTH = 1000
#: So many damaged segments are named.
_MOST_PROBLEMS = 100
_MAY_BECOME = {
    ReplayState.PAUSED: UNFINISHED,
    ReplayState.RUNNING: UNFINISHED | {ReplayState.FAILED},
}


class ReplayQueries(Database):
    """Replays are seen by everybody."""

    def create_replay(self, request: ReplayRequest, owner: str) -> Replay:
        """Keep a new replay, for somebody to play."""
        with self._writing() as session:
            for stream in (request.stream, request.onto):
                if session.get(StreamRow, stream) is None:
                    raise NotFoundError(f"there is no stream {stream!r}")
            row = ReplayRow(
                id=request.id,
                stream=request.stream,
                onto=request.onto,
                owner=owner,
                since_us=request.since_us,
                until_us=request.until_us,
                speed=str(request.speed),
                most_messages=request.limit,
                fresh_ids=request.fresh_ids,
                state=ReplayState.RUNNING.value,
            )
            session.add(row)
            session.flush()
            return to_replay(row)

    def get_replay(self, stream: str, replay: str) -> Replay:
        """Return a replay of a stream."""
        with self._reading() as session:
            return to_replay(_row(session, stream, replay))

    def page_replays(self, *, stream: str | None, limit: int, offset: int) -> Page[Replay]:
        """Return some replays, of one stream or of all, the newest first."""
        query = _newest_first()
        if stream is not None:
            query = query.where(ReplayRow.stream == stream)
        with self._reading() as session:
            return paged(session, query, to_replay, limit=limit, offset=offset)

    def replay_states(self) -> dict[str, tuple[ReplayState, str]]:
        """Return the state of each replay by its id, and the reason."""
        query = select(ReplayRow.id, ReplayRow.state, ReplayRow.reason)
        with self._reading() as session:
            return {
                replay: (ReplayState(state), reason)
                for replay, state, reason in session.execute(query)
            }

    def ask_replay(self, stream: str, replay: str, state: ReplayState) -> Replay:
        """Pause a replay, or let it go on.

        Raises:
            ConflictError: it has ended.
        """
        with self._writing() as session:
            row = _row(session, stream, replay)
            if ReplayState(row.state) not in _MAY_BECOME[state]:
                raise ConflictError(f"replay {replay} is {row.state}: start another one")
            if row.state != state:
                row.state, row.reason, row.ended_at = state.value, "", None
            session.flush()
            return to_replay(row)

    def delete_replay(self, stream: str, replay: str) -> None:
        """Forget a replay; who plays it ends."""
        with self._writing() as session:
            session.delete(_row(session, stream, replay))

    # ---- for whoever plays

    def has_replays(self) -> bool:
        """Say whether there is something to play."""
        query = select(ReplayRow.id).where(ReplayRow.state == ReplayState.RUNNING.value)
        with self._reading() as session:
            return session.scalar(query.limit(1)) is not None

    def take_replay(self, holder: str, *, others: Iterable[str]) -> Replay | None:
        """Take a replay that is to run and that nobody plays, except `others`; None: there is none.

        The oldest first. It is the holder's for `HOLD_S`, and with each `keep_replay` anew.
        """
        with self._writing() as session:
            now_s = self._now_s(session)
            row = session.scalar(
                _newest_first()
                .order_by(None)
                .order_by(ReplayRow.created_at, ReplayRow.id)
                .where(ReplayRow.state == ReplayState.RUNNING.value)
                .where(ReplayRow.id.not_in(list(others)))
                .where(or_(ReplayRow.holder.is_(None), ReplayRow.held_until_s < now_s))
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            row.holder, row.held_until_s = holder, now_s + HOLD_S
            return to_replay(row)

    def keep_replay(
        self,
        holder: str,
        replay: str,
        progress: Progress,
        *,
        reason: str = "",
        ended: ReplayState | None = None,
        release: bool = False,
    ) -> ReplayState | None:
        """Note how far the holder is; return what is wanted of the replay.

        None: it is no longer the holder's, or gone. `ended` is how it has ended; `release` lets
        others take it.
        """
        with self._writing() as session:
            row = session.get(ReplayRow, replay, with_for_update=True)
            if row is None or row.holder != holder:
                return None
            row.position, row.messages = progress.position, progress.messages
            row.repeats, row.problems = progress.repeats, list(progress.problems[:_MOST_PROBLEMS])
            row.reason = reason[:_REASON_LENGTH]
            row.held_until_s = self._now_s(session) + HOLD_S
            if ended is not None:
                row.state, row.ended_at = ended.value, now()
            if ended is not None or release:
                row.holder = None
            return ReplayState(row.state)


def to_replay(row: ReplayRow) -> Replay:
    """Return the row as a value."""
    return Replay(
        request=ReplayRequest(
            stream=row.stream,
            onto=row.onto,
            since_us=row.since_us,
            until_us=row.until_us,
            speed=Speed.parse(row.speed),
            limit=row.most_messages,
            fresh_ids=row.fresh_ids,
            id=row.id,
        ),
        owner=row.owner,
        state=ReplayState(row.state),
        created_at=row.created_at,
        ended_at=row.ended_at,
        reason=row.reason,
        progress=Progress(row.position, row.messages, row.repeats, tuple(row.problems)),
    )


def none_unfinished(session: Session, stream: str) -> None:
    """Do nothing if no replay needs a stream any more.

    Raises:
        ConflictError: one does.
    """
    needs = or_(ReplayRow.stream == stream, ReplayRow.onto == stream)
    states = [state.value for state in UNFINISHED]
    found = session.scalars(select(ReplayRow.id).where(needs, ReplayRow.state.in_(states))).all()
    if found:
        raise ConflictError(
            f"stream {stream!r} is used by {listed('replay', sorted(found))}:"
            " 'streamboss replays cancel ID' first"
        )


def _newest_first() -> Select[ReplayRow]:
    return select(ReplayRow).order_by(ReplayRow.created_at.desc(), ReplayRow.id)


def _row(session: Session, stream: str, replay: str) -> ReplayRow:
    row = session.get(ReplayRow, replay, with_for_update=True)
    if row is None or row.stream != stream:
        raise NotFoundError(f"stream {stream!r} has no replay {replay!r}")
    return row
