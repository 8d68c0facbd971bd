"""Browsers that are logged in: a random cookie, kept as a hash, and a word that forms must know."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

from manager.model import User
from manager.store import Store

#: A session ends so long after it was last seen (a page that is open asks each minute), and so
#: long after the login.
IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
_BYTES = 32


class Sessions:
    """Sessions, on top of the store: they are the same for every manager on it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, user: User) -> str:
        """Return the cookie of a new session; it is kept only as a hash."""
        now = datetime.now(UTC)
        self._store.delete_old_sessions(opened_before=now - LONGEST, seen_before=now - IDLE)
        cookie = secrets.token_urlsafe(_BYTES)
        self._store.add_session(user.name, _hash(cookie))
        return cookie

    def find(self, cookie: str) -> User | None:
        """Return whose session it is, or None."""
        now = datetime.now(UTC)
        return self._store.find_session(
            _hash(cookie), opened_after=now - LONGEST, seen_after=now - IDLE
        )

    def close(self, cookie: str) -> None:
        """End a session."""
        self._store.delete_session(_hash(cookie))


def form_word(cookie: str) -> str:
    """Return what every form of a session carries: other sites can't know it."""
    return hmac.new(cookie.encode(errors="replace"), b"form", hashlib.sha256).hexdigest()


def is_form_word(cookie: str, word: str) -> bool:
    """Say whether a form came from a page of this session."""
    return hmac.compare_digest(form_word(cookie).encode(), word.encode(errors="replace"))


def _hash(cookie: str) -> str:
    """Return what is kept of a cookie: it is long and random, so a fast hash is enough."""
    return hashlib.sha256(cookie.encode(errors="replace")).hexdigest()
