"""Which deliveries are finished, and the fewest acknowledgements that say so. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acks:
    """What to acknowledge: all up to one tag (0: nothing), and single ones beyond it."""

    up_to: int
    singles: tuple[int, ...] = ()


class Ledger:
    """Delivery tags, which count from 1 on a channel without a gap."""

    def __init__(self) -> None:
        self._received = 0
        self._up_to = 0
        self._done: set[int] = set()
        self._singles: set[int] = set()

    @property
    def in_hand(self) -> int:
        """How many the broker still counts as ours, once what is due is acknowledged."""
        return self._received - self._up_to - len(self._singles)

    def in_hand_after(self, tag: int) -> int:
        """Return how many of the deliveries after `tag` the broker still counts as ours."""
        singles = sum(single > tag for single in self._singles) if self._singles else 0
        return self._received - max(self._up_to, tag) - singles

    @property
    def unfinished(self) -> int:
        """How many are neither acknowledged nor to be acknowledged."""
        return self._received - self._up_to - len(self._singles) - len(self._done)

    @property
    def waiting(self) -> int:
        """How many are finished but have an unfinished one before them."""
        return len(self._done)

    def receive(self, tag: int) -> None:
        """Enter a delivery."""
        self._received = tag

    def done(self, tags: Iterable[int]) -> None:
        """Note that deliveries may be acknowledged."""
        self._done.update(tags)

    def due(self, *, singles: bool = False) -> Acks:
        """Take what may be acknowledged now; with `singles` also what an unfinished one blocks."""
        if not self._singles and len(self._done) == self._received - self._up_to:
            return self._all_due()
        up_to, last = self._up_to, 0
        while True:
            if up_to + 1 in self._done:
                self._done.discard(up_to + 1)
                last = up_to + 1  # the broker refuses "all up to" a tag that it knows no more
            elif up_to + 1 in self._singles:
                self._singles.discard(up_to + 1)
            else:
                break
            up_to += 1
        self._up_to = up_to
        beyond: tuple[int, ...] = ()
        if singles:
            beyond = tuple(sorted(self._done))
            self._singles |= self._done
            self._done.clear()
        return Acks(last, beyond)

    def _all_due(self) -> Acks:
        """Take all there are, without a look at each."""
        last = self._received if self._done else 0
        self._up_to = self._received
        self._done.clear()
        return Acks(last)
