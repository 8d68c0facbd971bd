"""Numbers and times as people read them. Pure; unknown is a dash, never a zero."""

from datetime import UTC, datetime

UNKNOWN = "\N{EN DASH}"
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_K = 1024
_TEN, _THOUSAND = 10, 1000


def count(value: float | None) -> str:
    """Return a whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Return messages a second."""
    if value is None:
        return UNKNOWN
    digits = 0 if value >= _TEN or value == int(value) else 1
    return f"{value:,.{digits}f}/s" if value == 0 or value >= 0.1 else "< 0.1/s"  # noqa: PLR2004


def size(value: float | None) -> str:
    """Return bytes."""
    if value is None:
        return UNKNOWN
    for unit in _SIZES:
        if value < _K or unit == _SIZES[-1]:
            break
        value /= _K
    return f"{value:,.0f} {unit}" if unit == "B" or value >= _TEN else f"{value:,.1f} {unit}"


def duration(value: float | None) -> str:
    """Return seconds."""
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value * _THOUSAND:,.3g} ms"
    return f"{value:,.3g} s" if value < _THOUSAND else f"{value:,.0f} s"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago that was."""
    if moment is None:
        return UNKNOWN
    past_s = ((now or datetime.now(UTC)) - moment).total_seconds()
    if past_s < 2:  # noqa: PLR2004 - two seconds
        return "now"
    for unit, length_s in (("d", _DAY_S), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if past_s >= length_s:
            return f"{past_s // length_s:.0f} {unit} ago"
    return f"{past_s:.0f} s ago"


def ahead(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long it is until then."""
    if moment is None:
        return UNKNOWN
    left_s = (moment - (now or datetime.now(UTC))).total_seconds()
    if left_s <= 0:
        return f"over since {ago(moment, now).removesuffix(' ago')}"
    for unit, length_s in (("d", _DAY_S), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if left_s >= length_s:
            return f"in {left_s // length_s:.0f} {unit}"
    return f"in {left_s:.0f} s"


def percent(value: float | None) -> str:
    """Return a share of 100."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def price(value: float | None) -> str:
    """Return money, in whatever currency the inventory has in mind."""
    if value is None:
        return UNKNOWN
    return f"{value:,.2f}" if value == 0 or value >= 0.01 else "< 0.01"  # noqa: PLR2004 - a cent


def moment(text: str | None) -> datetime | None:
    """Return the moment that a text names, or None where it names none for sure."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def exact(moment: datetime | None) -> str:
    """Return a moment to the second, in UTC."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
