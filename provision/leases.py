"""Leases: every machine has an owner, a purpose and an end. Arithmetic on clocks, no more."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from provision.errors import ProvisionError

#: Between shutdown and termination: the time that a machine gets to end in good order.
TAIL = timedelta(minutes=10)
#: When people are warned, ahead of the end.
_WARNINGS = (timedelta(hours=1), timedelta(hours=24))


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a machine may live. Times have a time zone.

    At `ends_at` it is shut down, or saved as `save_as` first; `TAIL` later it is terminated.
    """

    owner: str
    purpose: str
    starts_at: datetime
    ends_at: datetime
    save_as: str | None = None

    @property
    def terminates_at(self) -> datetime:
        """When it is gone for good."""
        return self.ends_at + TAIL


class Stage(IntEnum):
    """Where a lease stands; the later ones are the higher ones."""

    FRESH = 0
    LAST_DAY = 1
    LAST_HOUR = 2
    ENDED = 3  # shut it down, save it if its lease says so
    OVERDUE = 4  # terminate it


def granted(
    *,
    owner: str,
    purpose: str,
    hours: float,
    now: datetime,
    longest_hours: float,
    save_as: str | None = None,
) -> Lease:
    """Return a lease of `hours` from `now`.

    Raises:
        ProvisionError: none, negative or more hours than the cloud allows.
    """
    _check_hours(hours, longest_hours)
    return Lease(owner, purpose, now, now + timedelta(hours=hours), save_as)


def renewed(lease: Lease, *, hours: float, now: datetime, longest_hours: float) -> Lease:
    """Return `lease` with its end `hours` from `now`; its start stays.

    Raises:
        ProvisionError: none, negative or more hours than the cloud allows.
    """
    _check_hours(hours, longest_hours)
    return replace(lease, ends_at=now + timedelta(hours=hours))


def stage(lease: Lease, now: datetime) -> Stage:
    """Return where `lease` stands at `now`."""
    if now >= lease.terminates_at:
        return Stage.OVERDUE
    if now >= lease.ends_at:
        return Stage.ENDED
    ahead = sum(now >= lease.ends_at - early for early in _WARNINGS)
    return Stage(ahead)


def soonest(leases: Iterable[Lease]) -> datetime | None:
    """Return when the next of them ends, or None: nobody has to look earlier."""
    return min((lease.ends_at for lease in leases), default=None)


def announcement(lease: Lease) -> str:
    """Return the three times as cloud-client prints them, in local time."""
    times = (
        ("Start time", lease.starts_at),
        ("Shutdown time", lease.ends_at),
        ("Termination time", lease.terminates_at),
    )
    lines = [f"{label + ':':>18} {at.astimezone():%Y-%m-%d %H:%M:%S %z}" for label, at in times]
    if lease.save_as:
        lines.append(f"{'At the end:':>18} saved as {lease.save_as}")
    return "\n".join(lines)


def written(moment: datetime) -> str:
    """Return `moment` as tags and `/etc/streamboss/lease` hold it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> datetime | None:
    """Return the moment that `written` wrote, or None if it isn't one."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _check_hours(hours: float, longest_hours: float) -> None:
    if not 0 < hours < float("inf"):
        raise ProvisionError(f"hours: {hours:g} is no length of a lease; give more than 0")
    if hours > longest_hours:
        raise ProvisionError(
            f"hours: {hours:g} is more than the {longest_hours:g} that this cloud allows"
            " (limits: hours, in the inventory)"
        )
