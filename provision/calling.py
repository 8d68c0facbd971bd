"""Calls to one cloud: at the pace that it allows, again when that helps, never for ever."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from provision.classify import classify, failure, is_expected
from provision.errors import Kind, ProvisionError
from provision.waiting import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")


class Pace:
    """At most `per_s` calls a second; a second's worth may come at once. Shared by threads."""

    def __init__(self, per_s: float, clock: Clock = time) -> None:
        self._per_s, self._clock = per_s, clock
        self._burst = max(1.0, per_s)
        self._lock = threading.Lock()
        self._saved, self._at = self._burst, clock.monotonic()

    def take(self) -> None:
        """Wait for the turn of one call."""
        with self._lock:
            now = self._clock.monotonic()
            self._saved = min(self._burst, self._saved + (now - self._at) * self._per_s) - 1
            self._at = now
            wait_s = -self._saved / self._per_s
        if wait_s > 0:
            self._clock.sleep(wait_s)


class Caller:
    """Makes calls to one cloud. `patience_s` bounds each, all its attempts together."""

    def __init__(self, cloud: str, *, calls_per_s: float, patience_s: float = 120) -> None:
        self._cloud, self._patience_s = cloud, patience_s
        self._pace = Pace(calls_per_s)

    def once(self, doing: str, call: Callable[[], T]) -> T:
        """Make a call that must not be repeated blindly: it may have happened in spite of all.

        Raises:
            ProvisionError: says on which cloud, at what, and why.
        """
        self._pace.take()
        try:
            return call()
        except ProvisionError:
            raise
        except Exception as error:
            if not is_expected(error):
                raise
            raise failure(self._cloud, doing, error) from error

    def repeat(self, doing: str, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, again while that helps.

        Raises:
            ProvisionError: says on which cloud, at what, and why.
        """
        attempts = Retrying(
            retry=retry_if_exception(lambda error: classify(error) is Kind.RETRY),
            wait=wait_random_exponential(multiplier=0.5, max=30),  # full jitter
            stop=stop_after_delay(self._patience_s),
            before_sleep=lambda state: log.info("%s, trying again", _last_words(state.outcome)),
            reraise=True,
        )
        answer: T = attempts(self.once, doing, call)
        return answer


def _last_words(outcome: object) -> str:
    error = getattr(outcome, "exception", lambda: None)()
    return str(error)
