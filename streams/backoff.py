"""How long to wait before the next try. Pure."""

import random


def backoff_s(failures: int, *, first_s: float, longest_s: float = 60.0) -> float:
    """Return the wait after so many failures in a row: doubling, with half of it left to chance.

    The chance keeps what failed together (a broker's restart) from coming back together.
    """
    longest = min(longest_s, first_s * 2.0 ** min(max(failures - 1, 0), 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - chance, no secret
