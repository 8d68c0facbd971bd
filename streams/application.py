"""Applications: what a definition names and a node offers, perhaps pinned to one image. Pure.

`my-operation` is an appliance, whichever image of it; `my-operation@04a05a5d` only the image whose
hash begins so. A node offers the whole of it, `my-operation@04a05a5d4345`, if its image has one.
"""

import re
from functools import lru_cache

_PIN = re.compile(r"[0-9a-f]{4,12}")


def application_problem(application: str) -> str | None:
    """Say what is wrong with what a definition names, or None."""
    name, at, pin = application.partition("@")
    if not at or (name and _PIN.fullmatch(pin)):
        return None
    return f"{application!r}: before '@' comes an appliance, behind it 4 to 12 digits of a hash"


def appliance_of(application: str) -> str:
    """Return the appliance, whichever image of it is meant."""
    return application.partition("@")[0]


def is_pinned(application: str) -> bool:
    """Say whether one image is meant."""
    return "@" in application


@lru_cache(maxsize=20_000)  # asked of each operation and node at each look
def is_offered(application: str, offer: str) -> bool:
    """Say whether a node's `offer` is the appliance that a definition names, in that image."""
    wanted, _, pin = application.partition("@")
    name, _, content = offer.partition("@")
    return name == wanted and content.startswith(pin)
