"""Times as people type them, and as they are shown back."""

import re
from datetime import UTC, datetime, timedelta

from tools.console import UsageError

_AGO = re.compile(r"-(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str, option: str, now: datetime) -> datetime:
    """Return the time that `2026-11-25T10:00`, `-2h`, `yesterday` or `now` means.

    Without an offset it is local; a day is its midnight.

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().lower()
    if word == "now":
        return now
    if (days := _DAYS.get(word)) is not None:
        midnight = datetime(now.year, now.month, now.day)  # noqa: DTZ001 - made local below
        return (midnight - timedelta(days=days)).astimezone()
    try:
        if ago := _AGO.fullmatch(word):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r}: use a time like 2026-11-25T10:00, -2h, today or yesterday"
        ) from None


def us_of(moment: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def shown(us: int) -> str:
    """Return microseconds since 1970 as a local time with its offset, exactly."""
    return (_EPOCH + timedelta(microseconds=us)).astimezone().isoformat()
