"""How large the windows of `replies: any` are: they follow the program's speed. Pure."""

FIRST = 16
MOST = 1000
MOST_BYTES = 16 * 1024 * 1024
_QUICK_S = 0.1
_SLOW_S = 1.0


class Pace:
    """The present size of a window, in messages."""

    def __init__(self) -> None:
        self.limit = FIRST

    def settled(self, took_s: float) -> None:
        """Learn from a window: double while quick, halve when slow."""
        if took_s < _QUICK_S:
            self.limit = min(MOST, self.limit * 2)
        elif took_s > _SLOW_S:
            self.limit = max(1, self.limit // 2)
