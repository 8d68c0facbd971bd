"""Users in the store. Passwords come here as hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from manager.errors import ConflictError, NotFoundError
from manager.model import Role, User
from manager.store.database import Database
from manager.store.paging import Page, paged
from manager.store.tables import (
    ArchiveRow,
    DefinitionRow,
    NodeRow,
    OperationRow,
    ReplayRow,
    SessionRow,
    StreamRow,
    TokenRow,
    UserRow,
)


@dataclass(frozen=True, slots=True)
class Login:
    """A user with the hash that a password has to fit."""

    user: User
    password_hash: str = field(repr=False)


class UserQueries(Database):
    """Users are seen by admins, and each by themselves."""

    def create_user(self, name: str, role: Role, password_hash: str) -> User:
        """Keep a new user."""
        with self._writing() as session:
            if session.get(UserRow, name):
                raise ConflictError(f"user {name!r} exists already")
            row = UserRow(name=name, role=role, password_hash=password_hash)
            session.add(row)
            session.flush()
            return to_user(row)

    def update_user(
        self,
        name: str,
        *,
        role: Role | None = None,
        password_hash: str | None = None,
        buckets: Sequence[str] | None = None,
    ) -> User:
        """Change what is given; another password ends all tokens and sessions."""
        with self._writing() as session:
            row = _row(session, name)
            if buckets is not None:
                row.buckets = sorted(set(buckets))
            if role is not None and role != row.role:
                _keep_an_admin(session, row)
                row.role = role
            if password_hash is not None:
                row.password_hash = password_hash
                for table in (TokenRow, SessionRow):
                    session.execute(delete(table).where(table.user_name == name))
            session.flush()
            return to_user(row)

    def find_login(self, name: str) -> Login | None:
        """Return a user with the password's hash, or None."""
        with self._reading() as session:
            row = session.get(UserRow, name)
            return Login(to_user(row), row.password_hash) if row else None

    def readable_buckets(self) -> dict[str, tuple[str, ...] | None]:
        """Return each user's buckets; None: an admin, who needs no grant."""
        query = select(UserRow.name, UserRow.role, UserRow.buckets)
        with self._reading() as session:
            return {
                name: None if role == Role.ADMIN.value else tuple(buckets)
                for name, role, buckets in session.execute(query)
            }

    def get_user(self, name: str) -> User:
        """Return a user."""
        with self._reading() as session:
            return to_user(_row(session, name))

    def page_users(self, *, limit: int, offset: int) -> Page[User]:
        """Return some users, by name."""
        query = select(UserRow).order_by(UserRow.name)
        with self._reading() as session:
            return paged(session, query, to_user, limit=limit, offset=offset)

    def delete_user(self, name: str, *, heir: str) -> None:
        """Remove a user with all tokens; what the user owned becomes `heir`'s."""
        with self._writing() as session:
            row = _row(session, name)
            if name == heir:
                raise ConflictError(f"user {name!r} can't remove themselves: ask another admin")
            _keep_an_admin(session, row)
            for table in (DefinitionRow, StreamRow, OperationRow, ArchiveRow, ReplayRow, NodeRow):
                session.execute(update(table).where(table.owner == name).values(owner=heir))
            session.delete(row)


def to_user(row: UserRow) -> User:
    """Return the row as a value."""
    return User(name=row.name, role=Role(row.role), buckets=tuple(row.buckets))


def _row(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        raise NotFoundError(f"there is no user {name!r}")
    return row


def _keep_an_admin(session: Session, leaving: UserRow) -> None:
    others = select(func.count()).where(
        UserRow.role == Role.ADMIN.value, UserRow.name != leaving.name
    )
    if leaving.role == Role.ADMIN and not session.scalar(others):
        raise ConflictError(f"user {leaving.name!r} is the only admin: make another one first")
