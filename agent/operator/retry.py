"""How long to wait before the next attempt. Pure but for the dice."""

import random

FIRST_S = 0.3
LONGEST_S = 60.0


def backoff_s(failures: int, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Return seconds to wait after so many failures (from 1): doubling, with a jitter of a third.

    The jitter keeps a thousand messages that failed together from failing together again.
    """
    doubled = first_s * 2.0 ** min(failures - 1, 30)
    return min(longest_s, doubled) * random.uniform(2 / 3, 1)  # noqa: S311 - not a secret
