"""Numbers in sentences."""

import re

from tools.console import UsageError

_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([hdw])", re.ASCII)
_UNIT_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


def count(number: int | None, thing: str) -> str:
    """Return `no messages`, `1 message`, `2,000 messages`, or `any messages` if that is unknown."""
    if number is None:
        return f"any {thing}s"
    return f"{number:,} {thing}{'' if number == 1 else 's'}" if number else f"no {thing}s"


def bounds(text: str, option: str) -> tuple[int, int]:
    """Return what `3` or `1-5` means: at least, and at most.

    Raises:
        UsageError: it is neither.
    """
    if not (found := _RANGE.fullmatch(text)):
        raise UsageError(f"{option} {text!r}: a number like 3, or a range like 1-5")
    return int(found[1]), int(found[2] or found[1])


def days(text: str, option: str) -> float:
    """Return how many days `30d`, `12h` or `2w` are.

    Raises:
        UsageError: it is none of that.
    """
    found = _AGE.fullmatch(text)
    if not found or not float(found[1]):
        raise UsageError(f"{option} {text!r}: an age like 30d, 12h or 2w")
    return float(found[1]) * _UNIT_DAYS[found[2]]
