"""Times as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from tools.console import UsageError
from tools.times import instant, shown, us_of

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC).astimezone()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("-2h", NOW - timedelta(hours=2)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-1w", NOW - timedelta(days=7)),
        ("now", NOW),
        ("2026-11-25T10:00:00.000001+02:00", datetime(2026, 11, 25, 8, 0, 0, 1, UTC)),
        ("2026-11-25T08:00Z", datetime(2026, 11, 25, 8, tzinfo=UTC)),
        ("2026-11-24", datetime(2026, 11, 24).astimezone()),
        ("2026-11-24 10:00", datetime(2026, 11, 24, 10).astimezone()),
        ("today", datetime(2026, 11, 25).astimezone()),
        ("Yesterday", datetime(2026, 11, 24).astimezone()),
    ],
)
def test_a_time_is_what_a_person_means(typed: str, meant: datetime) -> None:
    assert instant(typed, "--from", NOW) == meant


@pytest.mark.parametrize("typed", ["", "soon", "-2x", "2h", "2026-13-01", "-999999w"])
def test_what_is_no_time_is_said(typed: str) -> None:
    with pytest.raises(UsageError, match=r"--to .*: use a time like"):
        instant(typed, "--to", NOW)


def test_a_time_comes_back_exactly_with_an_offset() -> None:
    us = 1_795_600_000_000_001
    assert us_of(instant(shown(us), "--from", NOW)) == us
    assert datetime.fromisoformat(shown(us)).tzinfo is not None
