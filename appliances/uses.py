"""Why images are needed by what a manager has registered. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def by_definitions(definitions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return why each appliance is needed, by its name; an operation's definition is among them.

    `definitions`: as the manager lists them.
    """
    return {
        str(each["definition"]["application"]): f"process definition {each['id']} names it"
        for each in definitions
    }
