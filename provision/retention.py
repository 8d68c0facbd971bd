"""What of ours is kept, and what goes: decided only, with a reason for each thing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from provision import leases
from provision.images import by_age, of_appliance
from provision.leases import Stage
from provision.machine import (
    APPLIANCE,
    ATTEMPT,
    OWNER,
    PROTECT,
    ROLE,
    Image,
    Machine,
    Role,
    State,
)


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


def by_lease(
    machine: Machine, lease: leases.Lease, now: datetime, *, can_stop: bool
) -> tuple[Act, str]:
    """Decide about a machine by its lease alone, and say why."""
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
    return by_lease(machine, machine.lease, now, can_stop=held.can_stop)


def _without_lease(
    held: Holdings, machine: Machine, now: datetime, min_age: timedelta
) -> tuple[Act, str]:
    young = machine.launched_at is None or machine.launched_at > now - min_age
    if young or machine.tags.get(ATTEMPT, "") in held.live:
        return Act.KEEP, "nobody knows its lease, but it is young"
    return Act.REMOVE, "nobody knows its lease"


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
