"""Who leads: one manager on a database reconciles and assigns, the others only answer HTTP."""

import secrets
import time
from typing import Protocol

import structlog

from streams.errors import StreamsError

log = structlog.get_logger()
#: Renewed this often; the store gives it away after so long.
RENEW_S, LEASE_S = 3.0, 9.0
#: Who doesn't lead asks more often: a dead leader is followed within 10 s.
ASK_S = 1.0


class LeaseStore(Protocol):
    """What a lease needs of the store."""

    def lease_take(self, holder: str) -> int | None:
        """Take or renew the lease; return its term, None if another holds it."""

    def lease_release(self, holder: str) -> None:
        """Let another take it at once."""


class Lease:
    """This process's hold on the lead."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        self._holder = secrets.token_hex(8)
        self._asked_s = float("-inf")
        self._term: int | None = None

    def term(self) -> int | None:
        """Return the term in which this process leads, or None; asks the store when it is time."""
        every_s = ASK_S if self._term is None else RENEW_S
        if time.monotonic() - self._asked_s >= every_s:
            self._asked_s = time.monotonic()
            self._take()
        return self._term

    def holds(self) -> bool:
        """Say whether nobody else can lead yet: the lease that was renewed last isn't over.

        Whoever stood still since it asked for its term may have been followed.
        """
        return self._term is not None and time.monotonic() - self._asked_s < LEASE_S

    def release(self) -> None:
        """Give the lead away, so that a successor needn't wait."""
        if self._term is not None:
            self._store.lease_release(self._holder)

    def _take(self) -> None:
        before = self._term
        try:
            self._term = self._store.lease_take(self._holder)
        except StreamsError as error:
            # without the store nobody may be sure to lead; what runs goes on
            self._term = None
            log.warning("lease not renewed", error=str(error))
        if self._term != before:
            log.info("leads" if self._term is not None else "doesn't lead", term=self._term)
