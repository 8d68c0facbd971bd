"""What a cloud offers: an image for an application is all it takes to launch machines for it."""

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
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
    return frozenset(inventory.appliance(name).size for name in _found(shelf, inventory.owner))


def offers_of(cloud: str, inventory: Inventory, shelf: Shelf, boot_s: float) -> tuple[Offer, ...]:
    """Return what a cloud can launch, by application: its newest image, then older ones.

    Those are for definitions that are pinned to one.
    """
    found, entry = _found(shelf, inventory.owner), inventory.clouds[cloud]
    slots = _LOCAL_SLOTS if isinstance(entry, LocalEntry) else _SLOTS
    described = {name: inventory.appliance(name) for name in sorted(found)}
    return tuple(
        Offer(
            application=name,
            cloud=cloud,
            image=image.id,
            size=appliance.size,
            hours=appliance.hours or entry.hours or inventory.defaults.hours,
            rank=entry.rank,
            content=image.tags.get(HASH, ""),
            slots=appliance.slots or slots,
            boot_s=boot_s,
            price_per_hour=shelf.prices.get(appliance.size),
            idle_s=appliance.idle_minutes * 60,
            warm=appliance.warm,
        )
        for name, appliance in described.items()
        for image in found[name]
    )


def boot_s(entry: CloudEntry, records: Iterable[MachineRecord]) -> float:
    """Return how long a machine takes to its first heartbeat, going by those before it."""
    boots = [(r.ready_at - r.launched_at).total_seconds() for r in records if r.ready_at]
    if boots:
        return statistics.median(boots)
    return _LOCAL_BOOT_S if isinstance(entry, LocalEntry) else _BOOT_S


def _found(shelf: Shelf, owner: str) -> dict[str, list[Image]]:
    """Return the images of each appliance with an agent, one of each content.

    First the one that the inventory names, or else the newest.
    """
    own = [i for i in shelf.images if i.tags.get(OWNER) == owner and i.tags.get(AGENT) != "no"]
    names = {image.tags.get(APPLIANCE, "") for image in own} - {""}
    found = {name: images.all_of_appliance(own, name) for name in names}
    found |= {name: [image, *found.get(name, ())] for name, image in shelf.pinned.items()}
    return {name: _unlike(there) for name, there in found.items() if there}


def _unlike(there: Sequence[Image]) -> list[Image]:
    """Return the first image, and the first of each content that somebody could name."""
    by_content: dict[str, Image] = {}
    for image in there[1:]:
        by_content.setdefault(image.tags.get(HASH, ""), image)
    known = {"", there[0].tags.get(HASH, "")}
    return [there[0], *(image for text, image in by_content.items() if text not in known)]
