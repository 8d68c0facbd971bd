"""How often somebody may fail to log in."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

#: So many failures are nobody's business; from then on each doubles the pause.
FREE = 5
_FIRST_S, _LONGEST_S = 1.0, 60.0
#: So long after the last failure all is forgotten.
_FORGOTTEN_S = 900.0
_MOST = 10_000


class Throttle:
    """Counts failures of each key (a user, an address); in memory, of a bounded number of keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: key -> (failures, when the last one was)
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def pause_s(self, *keys: str) -> float:
        """Return for how long none of these may try again; 0: now."""
        now_s = self._clock()
        with self._lock:
            return max([0.0, *(self._until_s(key, now_s) - now_s for key in keys)])

    def fail(self, *keys: str) -> None:
        """Count a failure of each."""
        now_s = self._clock()
        with self._lock:
            for key in keys:
                count, _ = self._known(key, now_s)
                self._failures[key] = count + 1, now_s
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def succeed(self, key: str) -> None:
        """Forget the failures of a key."""
        with self._lock:
            self._failures.pop(key, None)

    def _known(self, key: str, now_s: float) -> tuple[int, float]:
        count, at_s = self._failures.get(key, (0, now_s))
        return (count, at_s) if now_s - at_s < _FORGOTTEN_S else (0, now_s)

    def _until_s(self, key: str, now_s: float) -> float:
        count, at_s = self._known(key, now_s)
        if count < FREE:
            return now_s
        return at_s + min(_LONGEST_S, _FIRST_S * 2.0 ** min(count - FREE, 10))
