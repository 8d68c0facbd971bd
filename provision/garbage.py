"""Collect what nobody needs any more: planned first (`retention`), then done.

The cloud is asked, not our own memory. What isn't ours is never in a plan.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from provision.capabilities import Capability
from provision.cloud import Cloud
from provision.errors import ProvisionError
from provision.inventory import Inventory
from provision.machine import APPLIANCE, PROTECT, SOURCE, Image, Machine
from provision.retention import Act, Holdings, Item, by_lease, plan

log = logging.getLogger(__name__)

#: Saves a machine as an image of that name, for that appliance.
Save = Callable[[Machine, str, str], object]


def collect(
    cloud: Cloud,
    uses: Mapping[str, str],
    *,
    min_age: timedelta,
    dry_run: bool,
    say: Callable[[str], None] = log.info,
    save: Save | None = None,
    unasked: str = "",
) -> list[Item]:
    """Plan, say each line of the plan, and unless `dry_run` do it. Done twice, it does nothing.

    Args:
        cloud: where.
        uses: why images are needed, by appliance (perhaps pinned), image id or image name: what
            registered definitions, running operations and the inventory name.
        min_age: younger images stay.
        dry_run: only say it.
        say: gets one line for each item that doesn't just stay.
        save: how a machine is saved whose lease wants it; None: as it is.
        unasked: why nobody knows which images registered definitions name; empty: `uses` has them.

    Raises:
        ProvisionError: something could not be removed; the rest is.
    """
    held = replace(holdings(cloud, uses), unasked=unasked)
    items = plan(held, now=datetime.now(UTC), min_age=min_age)
    troubles = list[str]()
    for item in items:
        say(str(item))
        try:
            if not dry_run:
                _apply(cloud, item, save or partial(_save_as_it_is, cloud))
        except ProvisionError as error:
            troubles.append(str(error))
    if troubles:
        raise ProvisionError("; ".join(troubles))
    return items


def expire(cloud: Cloud, machines: Iterable[Machine], *, now: datetime, save: Save) -> list[Item]:
    """End those of our machines whose lease has ended; return what was done. Twice is once.

    Raises:
        ProvisionError: one could not be ended; the rest is.
    """
    can_stop, done, troubles = Capability.STOP in cloud.account.can, list[Item](), list[str]()
    for machine in machines:
        if machine.lease is None or machine.tags.get(PROTECT):
            continue
        act, reason = by_lease(machine, machine.lease, now, can_stop=can_stop)
        item = Item(act, "machine", machine.id, machine.name, reason, machine)
        if act is Act.KEEP:
            continue
        try:
            _apply(cloud, item, save)
            done.append(item)
        except ProvisionError as error:
            troubles.append(str(error))
    if troubles:
        raise ProvisionError("; ".join(troubles))
    return done


def inventory_uses(inventory: Inventory, cloud: str) -> dict[str, str]:
    """Return what the inventory needs of a cloud's images, as `collect` wants it."""
    uses = dict.fromkeys(inventory.appliances, "the inventory names its appliance")
    entry = inventory.clouds[cloud]
    based = [image for image in entry.images.values() if isinstance(image, str)]
    pinned = [a.images[cloud] for a in inventory.appliances.values() if cloud in a.images]
    return uses | dict.fromkeys([*based, *pinned], "the inventory names it")


def holdings(cloud: Cloud, uses: Mapping[str, str]) -> Holdings:
    """Ask a cloud for all that a plan needs."""
    account, attempts = cloud.account, cloud.journal.attempts().values()
    return Holdings(
        owner=cloud.owner,
        machines=account.machines(),
        images=account.images(),
        keys=account.key_pairs(),
        # a group that lets another in goes before it, and has the longer name
        groups=sorted(account.groups(), key=len, reverse=True),
        leftovers=account.leftovers(),
        live=frozenset(a.id for a in attempts if a.live and a.run != cloud.journal.run),
        over=frozenset(a.id for a in attempts if not a.live),
        kept=frozenset(a.id for a in attempts if a.kept),
        uses=uses,
        can_stop=Capability.STOP in account.can,
    )


def _apply(cloud: Cloud, item: Item, save: Save) -> None:
    match item.act, item.thing:
        case Act.REMOVE, Machine() as machine:
            cloud.terminate(machine)
        case Act.REMOVE, Image() as image:
            cloud.images.delete(image)
        case Act.STOP, Machine() as machine:
            cloud.stop(machine)
        case Act.SAVE, Machine() as machine if machine.lease and machine.lease.save_as:
            _save(cloud, machine, machine.lease.save_as, save)
        case Act.REMOVE, None if item.what == "key pair":
            cloud.access.remove_key(item.name)
        case Act.REMOVE, None:
            cloud.access.remove_group(item.name)
        case Act.REMOVE, leftover:
            cloud.account.remove_leftover(leftover)


def _save(cloud: Cloud, machine: Machine, wanted: str, save: Save) -> None:
    """Save a machine as its lease wants, unless a collector before us did; then terminate it."""
    there = cloud.account.images()
    made = [i for i in there if cloud.account.ours(i) and i.tags.get(SOURCE) == machine.id]
    usable = [image for image in made if not image.failed]
    if usable:
        cloud.watch.available(usable[0])
    else:
        taken = any(image.name == wanted for image in there)
        # somebody's work: neither may be lost
        save(machine, f"{wanted}-{machine.id}" if taken else wanted, wanted)
    cloud.terminate(machine)


def _save_as_it_is(cloud: Cloud, machine: Machine, name: str, appliance: str) -> None:
    cloud.save(machine, name, tags={APPLIANCE: appliance})
