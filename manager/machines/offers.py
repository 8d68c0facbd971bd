"""What a cloud offers: an image for an application is all it takes to launch machines for it."""

import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from manager.machines.model import MachineRecord, Offer
from provision import images
from provision.entries import CloudEntry, LocalEntry
from provision.inventory import Inventory
from provision.machine import AGENT, APPLIANCE, HASH, OWNER, Image

#: Until a machine of the cloud has booted; a local one has no image to fetch.
_BOOT_S, _LOCAL_BOOT_S = 120.0, 20.0
#: Two for each core, as its agent counts: of one, until it was heard; local machines share ours.
_SLOTS, _LOCAL_SLOTS = 2, 2 * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one cloud shows: its images, and those that the inventory names, by appliance.

    `prices` are an hour's, by size, as far as they are known.
    """

    images: tuple[Image, ...] = ()
    pinned: Mapping[str, Image] = field(default_factory=dict)
    prices: Mapping[str, float | None] = field(default_factory=dict)


def sizes_of(shelf: Shelf, inventory: Inventory) -> frozenset[str]:
    """Return the sizes of machines of all appliances on the shelf."""
    return frozenset(inventory.appliance(name).size for name in _newest(shelf, inventory.owner))


def offers_of(cloud: str, inventory: Inventory, shelf: Shelf, boot_s: float) -> tuple[Offer, ...]:
    """Return what a cloud can launch, by application."""
    found, entry = _newest(shelf, inventory.owner), inventory.clouds[cloud]
    slots = _LOCAL_SLOTS if isinstance(entry, LocalEntry) else _SLOTS
    described = {name: inventory.appliance(name) for name in sorted(found)}
    return tuple(
        Offer(
            application=name,
            cloud=cloud,
            image=found[name].id,
            size=appliance.size,
            hours=appliance.hours or entry.hours or inventory.defaults.hours,
            rank=entry.rank,
            content=found[name].tags.get(HASH, ""),
            slots=appliance.slots or slots,
            boot_s=boot_s,
            price_per_hour=shelf.prices.get(appliance.size),
            idle_s=appliance.idle_minutes * 60,
            warm=appliance.warm,
        )
        for name, appliance in described.items()
    )


def boot_s(entry: CloudEntry, records: Iterable[MachineRecord]) -> float:
    """Return how long a machine takes to its first heartbeat, going by those before it."""
    boots = [(r.ready_at - r.launched_at).total_seconds() for r in records if r.ready_at]
    if boots:
        return statistics.median(boots)
    return _LOCAL_BOOT_S if isinstance(entry, LocalEntry) else _BOOT_S


def _newest(shelf: Shelf, owner: str) -> dict[str, Image]:
    """Return the image of each appliance with an agent; what the inventory names comes first."""
    own = [i for i in shelf.images if i.tags.get(OWNER) == owner and i.tags.get(AGENT) != "no"]
    names = {image.tags.get(APPLIANCE, "") for image in own} - {""}
    found = {name: images.of_appliance(own, name) for name in names}
    return {name: image for name, image in found.items() if image} | dict(shelf.pinned)
