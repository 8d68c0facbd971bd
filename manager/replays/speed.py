"""How fast a replay goes. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from streams.errors import StreamsError

_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
_FACTOR = re.compile(rf"{_NUMBER}x", re.ASCII)
_RATE = re.compile(rf"{_NUMBER}/s", re.ASCII)
#: Who is later than this doesn't make up for it in a burst.
_LATE_S = 1.0


class SpeedError(StreamsError):
    """A speed that can't be understood."""


@dataclass(frozen=True, slots=True)
class Speed:
    """As fast as may be; or a `factor` of the pace at which it was published; or a rate."""

    factor: float | None = None
    per_s: float | None = None

    def __str__(self) -> str:
        if self.per_s is not None:
            return f"{self.per_s:.15g}/s"
        return "max" if self.factor is None else f"{self.factor:.15g}x"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `max`, `real`, `10x` or `100/s`.

        Raises:
            SpeedError: it is none of them.
        """
        if text == "max":
            return cls()
        if text == "real":
            return cls(factor=1.0)
        for pattern, field in ((_FACTOR, "factor"), (_RATE, "per_s")):
            if (found := pattern.fullmatch(text)) and float(found[1]) > 0:
                return cls(**{field: float(found[1])})
        raise SpeedError(f"speed {text!r}: use max, real, 10x or 100/s")


MAX = Speed()


class Pace:
    """Says when each message of one run is due. Times of publication in us, the clock in s."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        #: whether every message is due at once
        self.unbound = speed == MAX
        self._due_s: float | None = None
        self._latest_us = 0

    def due_s(self, published_us: int, now_s: float) -> float:
        """Return when the next message is due; the first one is due now."""
        if self._due_s is None:
            self._due_s, self._latest_us = now_s, published_us
            return now_s
        due_s = self._due_s + self._gap_s(published_us)
        self._due_s = due_s if due_s > now_s - _LATE_S else now_s
        return self._due_s

    def _gap_s(self, published_us: int) -> float:
        if self._speed.per_s:
            return 1 / self._speed.per_s
        # what was published a little before the one before it goes at once
        gap_us = max(0, published_us - self._latest_us)
        self._latest_us += gap_us
        return gap_us / 1_000_000 / self._speed.factor if self._speed.factor else 0.0
