"""Who may use the manager: passwords with argon2, tokens, and the first admin.

argon2 is slow on purpose (50 ms, 64 MiB), so a login that was verified is remembered, in memory
only, as a keyed hash that covers the stored hash, too: another password ends it everywhere.
"""

import hashlib
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from manager.errors import ConflictError, InvalidError, ThrottledError, UnauthorizedError
from manager.model import Role, User
from manager.roles import SHORTEST_PASSWORD
from manager.store import Store
from manager.throttle import Throttle
from streams.names import name_problem

log = logging.getLogger(__name__)

_REMEMBERED = 1000
#: Verifications at once: each takes 64 MiB, and strangers may ask for them.
_AT_ONCE = 2
_TOKEN_BYTES = 32
_KNOWN = 10_000


class Users:
    """Logins, on top of the store. Safe for use by many threads."""

    def __init__(self, store: Store, *, first: tuple[str, str] | None = None) -> None:
        """Use `store`; `first` is the name and password of the admin who always exists."""
        self._store = store
        self._first = first
        self._prepared = False
        self._hasher = PasswordHasher()
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        self._throttle = Throttle()
        #: who has logged in from where
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def prepare(self) -> None:
        """Make sure that the first admin exists with the password of the settings.

        Raises:
            StoreUnavailableError: the database doesn't answer; the next login tries again.
        """
        with self._preparing:
            if self._prepared:
                return
            if self._first:
                self._put_admin(*self._first)
                if len(self._first[1]) < SHORTEST_PASSWORD:
                    log.warning(
                        "STREAMBOSS_PASSWORD is short: use %d letters or more", SHORTEST_PASSWORD
                    )
            elif not self._store.page_users(limit=1, offset=0).total:
                log.warning(
                    "nobody can log in: set STREAMBOSS_USER and STREAMBOSS_PASSWORD"
                    " for the first admin, and start again"
                )
            self._prepared = True

    def by_password(self, name: str, password: str, keys: Sequence[str] = ()) -> User:
        """Return the user who has this name and password; a wrong one counts against `keys`.

        Raises:
            UnauthorizedError: nobody has.
            ThrottledError: too many were wrong.
        """
        self.prepare()
        login = None if name_problem("user", name) else self._store.find_login(name)
        known = login.password_hash if login else None
        if not self._verifies(password, known, keys) or login is None:
            raise UnauthorizedError("user name or password is wrong")
        return login.user

    def log_in(self, name: str, password: str, address: str) -> User:
        """Return the user who has this name and password; who guesses has to wait.

        Somebody who logged in from an address before isn't held up by those who guess elsewhere.

        Args:
            name: of the user.
            password: the password.
            address: where it comes from.

        Raises:
            UnauthorizedError: nobody has.
            ThrottledError: too many were wrong.
        """
        keys = self._keys(name, address)
        self._must_wait_no_more(keys)
        try:
            user = self.by_password(name, password, keys)
        except UnauthorizedError:
            # a name is a stranger's text; and passwords are typed there by mistake
            log.warning("a wrong login from %s", address or "somewhere")
            raise
        self._throttle.succeed(keys[0])
        if (name, address) not in self._known:
            log.info("user %s logged in from %s", name, address or "somewhere")
        self._known[name, address] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return user

    def _keys(self, name: str, address: str) -> tuple[str, ...]:
        if (name, address) in self._known:
            return (f"user {name} at {address}",)
        # through a proxy on this machine everybody has its address
        own = address.startswith("127.") or address == "::1"
        return (f"user {name}",) if own else (f"user {name}", f"address {address}")

    def must_know(self, name: str, password: str | None) -> None:
        """Do nothing if that is the user's password.

        Raises:
            InvalidError: it isn't.
            ThrottledError: too many were wrong.
        """
        keys = (f"user {name}",)
        self._must_wait_no_more(keys)
        try:
            self.by_password(name, password or "", keys)
        except UnauthorizedError:
            wrong = "isn't your present password" if password else "type your present one, too"
            raise InvalidError([f"current_password: {wrong}"]) from None

    def by_token(self, token: str) -> User:
        """Return the user whom this token logs in.

        Raises:
            UnauthorizedError: it logs in nobody.
        """
        self.prepare()
        user = self._store.find_token(_token_hash(token))
        if user is None:
            raise UnauthorizedError("the token is wrong, or has ended")
        return user

    def add(self, name: str, password: str, role: Role) -> tuple[User, bool]:
        """Create a user; return it, and False if exactly that one existed already.

        Raises:
            ConflictError: somebody of that name exists with another role or password.
        """
        login = self._store.find_login(name)
        if login is None:
            return self._store.create_user(name, role, self._hash(password)), True
        if login.user.role == role and self._fits(password, login.password_hash):
            return login.user, False
        raise ConflictError(f"user {name!r} exists already, with another role or password")

    def change(
        self,
        name: str,
        *,
        password: str | None = None,
        role: Role | None = None,
        buckets: Sequence[str] | None = None,
    ) -> User:
        """Change what is given; another password ends all tokens and sessions."""
        password_hash = None if password is None else self._hash(password)
        return self._store.update_user(
            name, role=role, password_hash=password_hash, buckets=buckets
        )

    def new_token(self, name: str, label: str = "") -> str:
        """Return a new token that logs this user in. It is kept only as a hash."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._store.add_token(name, _token_hash(token), label)
        return token

    def _put_admin(self, name: str, password: str) -> None:
        login = self._store.find_login(name)
        if login is None:
            try:
                self._store.create_user(name, Role.ADMIN, self._hash(password))
            except ConflictError:
                return  # another manager, started at the same moment, was faster
            log.info("made the first admin: %s", name)
            return
        same = self._fits(password, login.password_hash)
        if not same or login.user.role != Role.ADMIN:
            self.change(name, password=None if same else password, role=Role.ADMIN)
            log.info("updated the admin of the settings: %s", name)

    def _hash(self, password: str) -> str:
        with self._slots:
            password_hash = self._hasher.hash(password)
        self._remember(self._proof(password, password_hash))
        return password_hash

    def _fits(self, password: str, password_hash: str) -> bool:
        return self._verifies(password, password_hash, ())

    def _verifies(self, password: str, password_hash: str | None, keys: Sequence[str]) -> bool:
        """Say whether a password has this hash; without one, no, but not sooner.

        Whoever sends many at once waits here: so the pause is looked at again, and what is wrong
        counts before the next one's turn.
        """
        proof = self._proof(password, password_hash or "")
        with self._lock:
            if proof in self._verified:
                self._verified.move_to_end(proof)
                return True
        with self._slots:
            self._must_wait_no_more(keys)
            if not self._has_hash(password, password_hash):
                self._throttle.fail(*keys)
                return False
        self._remember(proof)
        return True

    def _has_hash(self, password: str, password_hash: str | None) -> bool:
        if password_hash is None:
            self._hasher.hash(password)  # so that time doesn't tell who exists
            return False
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def _must_wait_no_more(self, keys: Sequence[str]) -> None:
        if pause_s := self._throttle.pause_s(*keys):
            raise ThrottledError(pause_s)

    def _remember(self, proof: bytes) -> None:
        with self._lock:
            self._verified[proof] = None
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)

    def _proof(self, password: str, password_hash: str) -> bytes:
        secret = hashlib.blake2b(key=self._key, digest_size=32)
        for part in (password_hash, password):
            raw = part.encode(errors="surrogatepass")
            secret.update(len(raw).to_bytes(8, "big") + raw)
        return secret.digest()


def _token_hash(token: str) -> str:
    """Return what is kept of a token: it is long and random, so a fast hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
