"""What nobody needs any more: planned first, with a reason for each, then collected.

The cloud is asked, not our own memory. What isn't ours is never in a plan.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from provision import leases
from provision.capabilities import Capability
from provision.cloud import Cloud
from provision.errors import ProvisionError
from provision.images import by_age, of_appliance
from provision.inventory import Inventory
from provision.leases import Stage
from provision.machine import (
    APPLIANCE,
    ATTEMPT,
    OWNER,
    PROTECT,
    ROLE,
    SOURCE,
    Image,
    Machine,
    Role,
    State,
)

log = logging.getLogger(__name__)

#: Saves a machine as an image of that name, for that appliance.
Save = Callable[[Machine, str, str], object]


class Act(StrEnum):
    """What happens to one thing."""

    KEEP = "keep"
    STOP = "stop"
    SAVE = "save"  # as its lease says, then terminate
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a plan: what, what happens to it, and why."""

    act: Act
    what: str
    id: str
    name: str
    reason: str
    thing: Any = None  # Machine, Image, what the driver calls a leftover, or nothing more

    def __str__(self) -> str:
        label = self.id if self.name in (self.id, "") else f"{self.name} ({self.id})"
        return f"{self.act:<6} {self.what} {label}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that one cloud shows at one moment, ours or not, and what else bears on it.

    Args:
        owner: who we are.
        machines, images: everybody's.
        keys, groups: names of ours.
        leftovers: what crashes left that no list shows; each has a kind, a name and a reason.
        live, over: attempts of runs that run, and of runs that are over.
        uses: why an image is needed, by appliance name, image id or image name.
        can_stop: whether machines can be stopped there.
        unasked: why nobody knows which images definitions name; empty: `uses` has them.
    """

    owner: str
    machines: Sequence[Machine] = ()
    images: Sequence[Image] = ()
    keys: Sequence[str] = ()
    groups: Sequence[str] = ()
    leftovers: Sequence[Any] = ()
    live: frozenset[str] = frozenset()
    over: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    uses: Mapping[str, str] = field(default_factory=dict)
    can_stop: bool = True
    unasked: str = ""


def plan(held: Holdings, *, now: datetime, min_age: timedelta) -> list[Item]:
    """Decide about everything of ours. Decides only; touches nothing."""
    own = [m for m in held.machines if _ours(held, m) and m.state is not State.TERMINATED]
    items = [_machine(held, machine, now, min_age) for machine in own]
    items += [_image(held, i, now, min_age) for i in held.images if _ours(held, i)]
    needed = bool(own) or bool(held.live)
    for what, names in (("key pair", held.keys), ("security group", held.groups)):
        act = Act.KEEP if needed else Act.REMOVE
        reason = "our machines use it" if needed else "no machine of ours is left"
        items += [Item(act, what, name, name, reason) for name in names]
    items += [Item(Act.REMOVE, str(o.kind), o.name, o.name, o.reason, o) for o in held.leftovers]
    return items


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
        act, reason = _by_lease(machine, machine.lease, now, can_stop=can_stop)
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


def _ours(held: Holdings, thing: Machine | Image) -> bool:
    """The most dangerous line here: a filter may have been ignored, so look at the thing."""
    return thing.tags.get(OWNER) == held.owner


def _machine(held: Holdings, machine: Machine, now: datetime, min_age: timedelta) -> Item:
    act, reason = _fate(held, machine, now, min_age)
    return Item(act, "machine", machine.id, machine.name, reason, machine)


def _fate(held: Holdings, machine: Machine, now: datetime, min_age: timedelta) -> tuple[Act, str]:
    attempt = machine.tags.get(ATTEMPT, "")
    if machine.tags.get(PROTECT):
        return Act.KEEP, "it is protected"
    if machine.state is State.FAILED:
        return Act.REMOVE, "it failed to boot"
    abandoned = attempt in held.over - held.kept and machine.role in {Role.BUILD, Role.TEST}
    if abandoned:
        return Act.REMOVE, "the command that launched it is over"
    if machine.lease is None:
        return _without_lease(held, machine, now, min_age)
    return _by_lease(machine, machine.lease, now, can_stop=held.can_stop)


def _without_lease(
    held: Holdings, machine: Machine, now: datetime, min_age: timedelta
) -> tuple[Act, str]:
    young = machine.launched_at is None or machine.launched_at > now - min_age
    if young or machine.tags.get(ATTEMPT, "") in held.live:
        return Act.KEEP, "nobody knows its lease, but it is young"
    return Act.REMOVE, "nobody knows its lease"


def _by_lease(
    machine: Machine, lease: leases.Lease, now: datetime, *, can_stop: bool
) -> tuple[Act, str]:
    stage, until = leases.stage(lease, now), f"{lease.ends_at.astimezone():%Y-%m-%d %H:%M %z}"
    if stage < Stage.ENDED:
        return Act.KEEP, f"leased until {until}"
    if lease.save_as:
        return Act.SAVE, f"its lease ended at {until}; it becomes image {lease.save_as}"
    if stage is Stage.OVERDUE:
        return Act.REMOVE, f"its lease ended at {until}"
    if can_stop and machine.state is not State.STOPPED:
        return Act.STOP, f"its lease ended at {until}; terminated {leases.TAIL} later"
    return Act.KEEP, f"its lease ended at {until}; terminated {leases.TAIL} later"


def _image(held: Holdings, image: Image, now: datetime, min_age: timedelta) -> Item:
    def item(act: Act, reason: str) -> Item:
        return Item(act, "image", image.id, image.name, reason, image)

    if kept := _why_kept(held, image, now, min_age):
        return item(Act.KEEP, kept)
    if image.failed:
        return item(Act.REMOVE, "the cloud failed to make it")
    if image.tags.get(ROLE) in {Role.CANDIDATE, Role.CHECKPOINT}:
        return item(Act.REMOVE, "it was never promoted")
    later = _newest(held.images, image)
    if later.id != image.id:
        act, but = (Act.KEEP, f", but {held.unasked}") if held.unasked else (Act.REMOVE, "")
        return item(act, f"{later.name} ({later.id}) has replaced it{but}")
    if use := held.uses.get(image.tags.get(APPLIANCE, "")):
        return item(Act.KEEP, use)
    return item(Act.KEEP, "nobody names it, but it is the newest of its appliance")


def _why_kept(held: Holdings, image: Image, now: datetime, min_age: timedelta) -> str | None:
    if image.tags.get(PROTECT):
        return "it is protected"
    user = next(
        (m for m in held.machines if m.image == image.id and m.state is not State.TERMINATED), None
    )
    if user is not None:
        return f"machine {user.id} runs from it"
    if use := held.uses.get(image.id) or held.uses.get(image.name) or _pinned(held, image):
        return use
    if image.tags.get(ATTEMPT, "") in held.live:
        return "a command is at work on it"
    if image.created_at is None or image.created_at > now - min_age:
        return "it is young"
    return None


def _pinned(held: Holdings, image: Image) -> str | None:
    """Return why this image of its appliance is needed, and no other will do."""
    pins = ((name, use) for name, use in held.uses.items() if "@" in name)
    return next((use for name, use in pins if of_appliance([image], name)), None)


def _newest(images: Iterable[Image], image: Image) -> Image:
    """Return the newest promoted image of the same owner and appliance."""

    def kin(other: Image) -> bool:
        same = all(other.tags.get(key) == image.tags.get(key) for key in (OWNER, APPLIANCE, ROLE))
        return other.available and same

    return max([image, *filter(kin, images)], key=by_age)


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
