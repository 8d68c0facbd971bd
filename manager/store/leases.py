"""Which manager leads: a lease by the database's clock, with a term that only rises.

On SQLite all managers share one machine, so a lock on `<file>.lock` says at once whether the last
holder still lives: who gets that lock needn't wait for a dead one's lease to end.
"""

import fcntl
import os
import threading
from pathlib import Path

from sqlalchemy.orm import Session

from manager.lease import LEASE_S
from manager.store.database import Database
from manager.store.tables import LeaseRow


class LeaseQueries(Database):
    """One lease for the whole database."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._file_lock = _FileLock(Path(f"{self.sqlite_path}.lock")) if self.is_sqlite else None

    def lease_take(self, holder: str) -> int | None:
        """Take or renew the lease for `LEASE_S`; return its term, None if somebody else leads."""
        self.prepare()
        others_died = False
        if self._file_lock:
            others_died = not self._file_lock.held
            if not self._file_lock.take():
                return None
        with self._writing() as session:
            lease = _lease(session)
            now_s = self._now_s(session)
            if lease.holder != holder:
                if lease.holder and lease.until_s > now_s and not others_died:
                    return None
                lease.holder = holder
                lease.term += 1
            lease.until_s = now_s + LEASE_S
            return lease.term

    def lease_release(self, holder: str) -> None:
        """Let others lead at once, if `holder` does."""
        with self._writing() as session:
            lease = _lease(session)
            if lease.holder != holder:
                return
            lease.holder = None
        if self._file_lock:
            self._file_lock.release()

    def close(self) -> None:
        """Close all connections, and let go of the lock."""
        if self._file_lock:
            self._file_lock.release()
        super().close()


def _lease(session: Session) -> LeaseRow:
    """Return the one row (a migration makes it), kept from others until the transaction ends."""
    return session.get_one(LeaseRow, 1, with_for_update=True)


class _FileLock:
    """A lock that ends with the process that holds it, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._mutex = threading.Lock()

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self) -> bool:
        with self._mutex:
            if self._descriptor is not None:
                return True
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
            return True

    def release(self) -> None:
        with self._mutex:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
