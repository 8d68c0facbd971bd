"""Why images are needed: what names them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from provision.inventory import Inventory


def uses(
    inventory: Inventory, cloud: str, definitions: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Return why each appliance or image is needed, by its name or id.

    `definitions`: as the manager lists them; an operation's is among them.
    """
    named = dict.fromkeys(inventory.appliances, "the inventory names its appliance")
    for name, entry in inventory.appliances.items():
        if cloud in entry.images:
            named[entry.images[cloud]] = f"the inventory names it for {name}"
    for each in definitions:
        application = str(each["definition"]["application"])
        named[application] = f"process definition {each['id']} names its appliance"
    return named
