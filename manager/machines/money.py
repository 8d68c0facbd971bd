"""What machines have cost: estimates, by the second, from hourly prices. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from manager.machines.model import MachineRecord

DAY = timedelta(hours=24)


def cost(machine: MachineRecord, *, since: datetime, now: datetime) -> float:
    """Return what a machine has cost from `since` until `now`; 0 if nobody knows its price."""
    begin = max(machine.launched_at, since)
    end = min(machine.ended_at or now, now)
    return (machine.price_per_hour or 0.0) * max(0.0, (end - begin).total_seconds()) / 3600


def spent(machines: Iterable[MachineRecord], cloud: str, now: datetime) -> float:
    """Return what the machines of a cloud have cost within the last 24 hours."""
    return sum(cost(m, since=now - DAY, now=now) for m in machines if m.cloud == cloud)
