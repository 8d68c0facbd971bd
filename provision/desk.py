"""Where a person works: a folder with inventory, secrets and journal; clouds are opened there."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision import inventory
from provision.cloud import Cloud
from provision.errors import ProvisionError
from provision.inventory import Inventory
from provision.journal import Journal
from provision.recovery import recover
from provision.secrets import Secrets

log = logging.getLogger(__name__)

_STATE = ".streamboss"


def find_inventory(env: Mapping[str, str], folder: Path) -> Inventory:
    """Return the inventory that STREAMBOSS_INVENTORY names, or the nearest from `folder` upwards.

    Raises:
        InventoryError: there is none, or it has problems.
    """
    named = env.get("STREAMBOSS_INVENTORY")
    nearest = (place / "inventory" for place in (folder, *folder.parents))
    default = next((place for place in nearest if place.is_dir()), folder / "inventory")
    return inventory.load(Path(named) if named else default)


def has_inventory(folder: Path) -> bool:
    """Say whether an inventory is to be found from `folder` upwards."""
    return any((place / "inventory").is_dir() for place in (folder, *folder.parents))


def secrets_at(env: Mapping[str, str], folder: Path) -> Secrets:
    """Return the secrets of whoever works in `folder`."""
    return Secrets(env, (state_folder(folder) / "secrets",))


def state_folder(folder: Path) -> Path:
    """Return the nearest `.streamboss` from `folder` upwards; the one in `folder` if none is."""
    nearest = (place / _STATE for place in (folder, *folder.parents))
    return next((place for place in nearest if place.is_dir()), folder / _STATE)


@contextmanager
def opened(name: str | None, *, env: Mapping[str, str], folder: Path) -> Iterator[Cloud]:
    """Open one cloud of the inventory (its default for None) for the length of a command.

    What earlier commands left behind by crashing is settled first; where there is nothing of the
    kind, the cloud isn't asked anything.

    Raises:
        ProvisionError: no such cloud, or an inventory with problems.
    """
    known = find_inventory(env, folder)
    with Journal(state_folder(folder) / "clouds" / "journal") as journal:
        cloud = Cloud.open(known, name, journal=journal, secrets=secrets_at(env, folder))
        try:
            recover(cloud, log.warning)
        except ProvisionError as error:
            log.warning("what an earlier command left behind is not settled yet: %s", error)
        yield cloud
