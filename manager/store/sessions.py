"""What logs a user in besides the password: tokens of scripts, sessions of browsers. As hashes."""

from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select

from manager.errors import NotFoundError
from manager.model import Token, User
from manager.store.database import Database
from manager.store.tables import SessionRow, TokenRow, UserRow, now
from manager.store.users import to_user

#: So much of a token's hash tells it from a user's others.
_ID_LENGTH = 12
#: When something was used is noted no more often.
_NOTED_EVERY = timedelta(minutes=1)


class SessionQueries(Database):
    """Tokens and sessions end with their user, and with another password."""

    def add_token(self, user: str, token_hash: str, label: str = "") -> Token:
        """Keep another token of a user."""
        with self._writing() as session:
            if session.get(UserRow, user) is None:
                raise NotFoundError(f"there is no user {user!r}")
            row = TokenRow(token_hash=token_hash, user_name=user, label=label)
            session.add(row)
            session.flush()
            return to_token(row)

    def list_tokens(self, user: str) -> list[Token]:
        """Return a user's tokens, the oldest first."""
        query = select(TokenRow).where(TokenRow.user_name == user)
        with self._reading() as session:
            rows = session.scalars(query.order_by(TokenRow.created_at, TokenRow.token_hash))
            return [to_token(row) for row in rows]

    def delete_token(self, user: str, token: str) -> None:
        """Revoke a user's token by its id."""
        mine = select(TokenRow).where(TokenRow.user_name == user)
        found = TokenRow.token_hash.startswith(token, autoescape=True)
        with self._writing() as session:
            row = session.scalar(mine.where(found)) if len(token) == _ID_LENGTH else None
            if row is None:
                raise NotFoundError(f"user {user!r} has no token {token!r}")
            session.delete(row)

    def find_token(self, token_hash: str) -> User | None:
        """Return the user whom a token logs in, or None."""
        query = select(UserRow, TokenRow.used_at).join(TokenRow)
        with self._reading() as session:
            found = session.execute(query.where(TokenRow.token_hash == token_hash)).first()
            user, used_at = (to_user(found[0]), found[1]) if found else (None, None)
        if user and (used_at is None or now() - used_at > _NOTED_EVERY):
            with self._writing() as session:
                if row := session.get(TokenRow, token_hash):
                    row.used_at = now()
        return user

    def add_session(self, user: str, session_hash: str) -> None:
        """Keep another session of a user."""
        with self._writing() as session:
            session.add(SessionRow(session_hash=session_hash, user_name=user))

    def find_session(
        self, session_hash: str, *, opened_after: datetime, seen_after: datetime
    ) -> User | None:
        """Return the user of a session that was opened and last seen after those times, or None."""
        query = select(UserRow, SessionRow.seen_at).join(SessionRow)
        query = query.where(
            SessionRow.session_hash == session_hash,
            SessionRow.created_at > opened_after,
            SessionRow.seen_at > seen_after,
        )
        with self._reading() as session:
            found = session.execute(query).first()
            user, seen_at = (to_user(found[0]), found[1]) if found else (None, now())
        if user and now() - seen_at > _NOTED_EVERY:
            with self._writing() as session:
                if row := session.get(SessionRow, session_hash):
                    row.seen_at = now()
        return user

    def delete_session(self, session_hash: str) -> None:
        """End a session; it may be over already."""
        with self._writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.session_hash == session_hash))

    def delete_old_sessions(self, *, opened_before: datetime, seen_before: datetime) -> None:
        """Forget sessions that log nobody in any more."""
        old = or_(SessionRow.created_at < opened_before, SessionRow.seen_at < seen_before)
        with self._writing() as session:
            session.execute(delete(SessionRow).where(old))


def to_token(row: TokenRow) -> Token:
    """Return the row as a value."""
    return Token(row.token_hash[:_ID_LENGTH], row.label, row.created_at, row.used_at)
