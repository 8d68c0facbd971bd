"""How many instances an operation gets: up at once, down after a while. Pure."""

import math
from dataclasses import dataclass

from manager.model import Operation

#: A backlog should be gone in this time at the measured rate (kedacore/keda#7071).
DRAIN_TARGET_S = 60.0
#: Fewer are given only after fewer were enough for so long.
COOLDOWN_S = 60.0


@dataclass(frozen=True, slots=True)
class Scale:
    """The instances that an operation has, and the most it would have needed `fewer_since`."""

    instances: int
    fewer: int = 0
    fewer_since: float | None = None


def instances_for(
    operation: Operation, backlog_messages: int | None, rate_per_instance: float | None
) -> int:
    """Return how many instances drain the backlog in a minute, within the operation's bounds.

    `rate_per_instance` is in messages a second; unknown, or nothing waiting: the minimum.
    """
    low, high = operation.instances.min, operation.instances.max
    if not backlog_messages or not rate_per_instance:
        return low
    needed = math.ceil(backlog_messages / (rate_per_instance * DRAIN_TARGET_S))
    return max(low, min(high, needed))


def scaled(before: Scale | None, needed: int, *, most: int, now: float) -> Scale:
    """Return the scale that follows `before` when `needed` instances are, and `most` allowed."""
    if before is None or needed >= (has := min(before.instances, most)):
        new = Scale(needed)
        return before if before == new else new
    if before.fewer_since is None:
        return Scale(has, needed, now)
    fewer = max(before.fewer, needed)
    if now - before.fewer_since >= COOLDOWN_S:
        return Scale(fewer)
    return Scale(has, fewer, before.fewer_since)
