"""Waits between tries."""

from streams.backoff import backoff_s


def test_waits_double_up_to_the_longest_and_differ() -> None:
    for failures, longest in ((0, 0.2), (1, 0.2), (2, 0.4), (5, 3.2), (9, 10.0), (5000, 10.0)):
        waits = {backoff_s(failures, first_s=0.2, longest_s=10.0) for _ in range(50)}
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(waits) > 1
