"""Creating something exactly once, on clouds whose answers get lost."""

import logging
from collections.abc import Callable
from typing import TypeVar

from libcloud.common.exceptions import BaseHTTPError
from tenacity import Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from provision.calling import Caller
from provision.classify import classify
from provision.errors import Kind, ProvisionError, WaitTimeoutError
from provision.journal import Journal
from provision.waiting import wait_until

log = logging.getLogger(__name__)

T = TypeVar("T")

#: HTTP statuses of "not now": what they answer to didn't happen.
_NOT_NOW = (429, 503)


class Creator:
    """Makes the calls that create things.

    Args:
        caller: makes single calls.
        journal: in which each attempt already stands.
        grace_s: for how long the cloud may not yet list what it has just created.
        patience_s: all attempts at one thing together.
    """

    def __init__(
        self, caller: Caller, journal: Journal, *, grace_s: float, patience_s: float = 300
    ) -> None:
        self._caller, self._journal = caller, journal
        self._grace_s, self._patience_s = grace_s, patience_s

    def create(
        self,
        attempt: str,
        doing: str,
        call: Callable[[], T],
        find: Callable[[], T | None],
        *,
        idempotent: bool,
    ) -> T:
        """Make `call` until it has happened once; the journal hears of a refusal.

        Where the cloud knows a repeated call by its token (`idempotent`), it is simply repeated.
        Elsewhere a call without an answer may have happened: it is repeated only when `find` has
        not found its result for as long as the cloud may hide it.

        Raises:
            ProvisionError: refused, and nothing exists; or of kind RETRY: nobody knows.
        """

        def once() -> T:
            try:
                return self._caller.once(doing, call)
            except ProvisionError as error:
                found = None if idempotent or not _unsure(error) else self._look(doing, find)
                if found is None:
                    raise
                return found

        attempts = Retrying(
            retry=retry_if_exception(lambda error: classify(error) is Kind.RETRY),
            wait=wait_random_exponential(multiplier=0.5, max=30),
            stop=stop_after_delay(self._patience_s),
            reraise=True,
        )
        try:
            made: T = attempts(once)
        except ProvisionError as error:
            if error.kind is not Kind.RETRY:
                self._journal.failed(attempt, str(error))
            raise
        return made

    def _look(self, doing: str, find: Callable[[], T | None]) -> T | None:
        log.info("%s: no answer; looking whether it happened", doing)
        try:
            return wait_until(find, what=doing, timeout_s=self._grace_s)
        except WaitTimeoutError:
            return None


def _unsure(error: ProvisionError) -> bool:
    """Say whether the call may have happened in spite of its failure."""
    cause = error.__cause__
    refused = isinstance(cause, BaseHTTPError) and int(cause.code) in _NOT_NOW
    return error.kind is Kind.RETRY and not refused
