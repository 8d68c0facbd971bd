"""The reaper: warns of leases that end, and ends, or saves, what is past its own.

On every cloud of the inventory, whoever launched the machine. It may run twice, and anywhere: what
was done is seen on the cloud, what was warned of is in the store. Machines whose reaper is dead end
by their own timers.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from manager import logs
from manager.events import Event
from manager.machines.ground import Desk, Ground, desk_at
from manager.store import Store, database_url
from provision import garbage, leases, scrub
from provision.errors import ProvisionError
from provision.leases import Lease, Stage
from provision.machine import Machine
from streams.backoff import backoff_s
from streams.errors import SettingsError, StreamsError
from streams.settings import Settings

log = structlog.get_logger()
#: How often a cloud is looked at: with machines of ours, without, and for who doesn't lead.
LOOK_S, _IDLE_S, _ASIDE_S = 60.0, 300.0, 5.0
_FIRST_S = 10.0
_LATE_S = 0.1
#: Hours before the end at which people are warned, by the stage that then begins.
_WARNED = {Stage.LAST_DAY: 24, Stage.LAST_HOUR: 1}


class ReaperStore(Protocol):
    """What the reaper keeps."""

    def take_warning(self, cloud: str, handle: str, hours: int, ends_at: datetime) -> bool:
        """Say whether to warn of this end: once."""

    def note_events(self, events: Sequence[Event]) -> None:
        """Keep what happened."""


class Reaper:
    """A thread for each cloud that could answer, at work while `leads` says so."""

    def __init__(self, desk: Desk | None, store: ReaperStore, leads: Callable[[], bool]) -> None:
        self._store, self._leads = store, leads
        self._stopping = threading.Event()
        self._grounds = [Ground(desk, name) for name in desk.clouds()] if desk else []

    def start(self) -> None:
        """Begin, in the background; nothing to do without clouds."""
        for ground in self._grounds:
            name = f"reaper {ground.name}"
            threading.Thread(target=self._run, args=[ground], name=name, daemon=True).start()

    def stop(self) -> None:
        """End soon; what is left is found again."""
        self._stopping.set()

    def _run(self, ground: Ground) -> None:
        failures, pause_s = 0, _FIRST_S
        while not self._stopping.wait(pause_s):
            if not self._leads():
                pause_s = _ASIDE_S
                continue
            try:
                failures, pause_s = 0, _pause_s(reap(ground, self._store, datetime.now(UTC)))
            except (ProvisionError, StreamsError) as error:
                failures += 1
                pause_s = backoff_s(failures, first_s=_FIRST_S, longest_s=_IDLE_S)
                log.warning("leases not looked after", cloud=ground.name, error=str(error))
        ground.close()


def _pause_s(leased: Sequence[Lease]) -> float:
    """Return when to look again: at once when a lease ends, before the machine ends itself."""
    now = datetime.now(UTC)
    end = leases.soonest(lease for lease in leased if lease.ends_at > now)
    if end is None:
        return LOOK_S if leased else _IDLE_S
    return min(LOOK_S, (end - now).total_seconds() + _LATE_S)


def reap(ground: Ground, store: ReaperStore, now: datetime) -> list[Lease]:
    """Warn, and end what is past its lease; return the leases of the machines that there were.

    Raises:
        ProvisionError: the cloud doesn't answer, or something could not be ended; the rest is.
        StoreUnavailableError: nobody knows who was warned.
    """
    site = ground.site()
    machines = site.cloud.machines()
    warnings = [w for m in machines if (w := _warning(m, now, store))]
    for event in warnings:
        log.warning("a lease ends soon", **event.fields, machine=event.name)
    store.note_events(warnings)
    save = partial(scrub.save_ended, site, say=log.warning)
    ended = garbage.expire(site.cloud, machines, now=now, save=save)
    store.note_events(
        [
            _event("machine.lease-over", item.thing, {"done": str(item.act), "reason": item.reason})
            for item in ended
        ]
    )
    return [machine.lease for machine in machines if machine.lease]


def _warning(machine: Machine, now: datetime, store: ReaperStore) -> Event | None:
    lease = machine.lease
    hours = _WARNED.get(leases.stage(lease, now)) if lease else None
    if lease is None or hours is None:
        return None
    if machine.launched_at and lease.ends_at - machine.launched_at <= timedelta(hours=hours):
        return None  # whoever launched it knows: it was leased for no longer
    if not store.take_warning(machine.cloud, machine.id, hours, lease.ends_at):
        return None
    end = f"its lease ends at {lease.ends_at.astimezone():%Y-%m-%d %H:%M %z}"
    return _event("machine.lease-ends", machine, {"within_hours": hours, "reason": end})


def _event(event: str, machine: Machine, fields: dict[str, object]) -> Event:
    return Event(event, machine.name, {"cloud": machine.cloud, "handle": machine.id, **fields})


@contextmanager
def reaping(settings: Settings) -> Iterator[None]:
    """Reap for the length of a `with` block, as a role of its own.

    Raises:
        SettingsError: no inventory, or one with problems.
    """
    logs.to_stderr()
    desk = desk_at(os.environ, Path.cwd())
    if desk is None:
        raise SettingsError("no inventory: set STREAMBOSS_INVENTORY, or run this beside one")
    store = Store(database_url(settings, Path.cwd()))
    reaper = Reaper(desk, store, lambda: True)
    reaper.start()
    try:
        yield
    finally:
        reaper.stop()
        store.close()
