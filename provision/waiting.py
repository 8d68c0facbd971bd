"""Waiting for clouds: deadlines, one list call for all who wait, and no hope for the hopeless."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from provision.errors import WaitTimeoutError

T = TypeVar("T")


class Clock(Protocol):
    """What waiting needs of time."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Do nothing for `seconds`."""
        ...


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    interval_s: float = 2.0,
    clock: Clock = time,
) -> T:
    """Call `probe` until it returns a value, and return that value.

    None means "not yet". A probe that knows it is hopeless raises, and the wait ends at once. The
    last look is at the deadline.

    Raises:
        WaitTimeoutError: still None `timeout_s` seconds after the first call.
    """
    deadline = clock.monotonic() + timeout_s
    while (value := probe()) is None:
        left_s = deadline - clock.monotonic()
        if left_s <= 0:
            raise WaitTimeoutError(f"{what}: not so after {timeout_s:g} s")
        clock.sleep(min(interval_s, left_s))
    return value


class Shared(Generic[T]):
    """One call for all threads that want its answer at the same time."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answer: T

    def get(self) -> T:
        """Return an answer to a call that began after this one did."""
        wanted_at = time.monotonic()
        with self._lock:
            if self._asked_at < wanted_at:
                asked_at = time.monotonic()
                self._answer = self._call()
                self._asked_at = asked_at
            return self._answer
