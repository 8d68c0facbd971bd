"""What is asked of a cloud when a machine is launched: checked first, then put in its words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.capabilities import Capability
from provision.entries import CloudEntry
from provision.errors import ProvisionError
from provision.leases import Lease
from provision.machine import LEASE_UNTIL
from provision.views import token


@dataclass(frozen=True, slots=True)
class Request:
    """A machine that is wanted. `size` and `image` are the cloud's own ids by now."""

    name: str
    image: str
    size: str
    lease: Lease
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: str = field(default="", repr=False)
    key_name: str | None = None
    groups: tuple[str, ...] = ()


def size_id(cloud: str, entry: CloudEntry, size: str) -> str:
    """Return the cloud's own name for `size`: one of the inventory's, or already its own.

    Raises:
        ProvisionError: neither; names those of the inventory.
    """
    if size in entry.sizes:
        return entry.sizes[size]
    if entry.sizes and size not in entry.sizes.values():
        raise ProvisionError(
            f"clouds: {cloud}: unknown size {size!r}; there are: {', '.join(entry.sizes)}"
        )
    return size


def check_user_data(cloud: str, entry: CloudEntry, can: frozenset[Capability], text: str) -> None:
    """Refuse user data that the cloud wouldn't take.

    Raises:
        ProvisionError: too long, or the cloud takes none.
    """
    length, limit = len(text.encode()), entry.limits.user_data_bytes
    if text and Capability.USER_DATA not in can:
        raise ProvisionError(f"{cloud}: takes no user data; configure the machine over ssh")
    if length > limit:
        raise ProvisionError(
            f"{cloud}: user data of {length} bytes, but it takes {limit} at most"
            " (limits: user_data_bytes, in the inventory)"
        )


def arguments(
    request: Request, attempt: str, owner: str, can: frozenset[Capability]
) -> dict[str, Any]:
    """Return what a driver's `create_node` gets, besides image and size.

    What says whose the machine is: tags, else the client token, else its name.
    """
    mark = token(owner, attempt)
    chosen: dict[str, Any] = {"name": request.name}
    if Capability.TAGS in can:
        chosen["ex_metadata"] = dict(request.tags)
    if Capability.CLIENT_TOKEN in can:
        chosen["ex_clienttoken"] = mark
    elif Capability.TAGS not in can:
        chosen["name"] = f"{request.name[:20]}-{mark}"
    if request.user_data:
        chosen["ex_userdata"] = request.user_data
    if request.key_name:
        chosen["ex_keyname"] = request.key_name
    if request.groups:
        chosen["ex_security_groups"] = list(request.groups)
    if Capability.LEASE in can:
        chosen["ex_lease"] = request.lease
    return chosen


def described(request: Request) -> str:
    """Return the request as the journal and people read it."""
    return f"{request.name} ({request.image}, until {request.tags.get(LEASE_UNTIL, '?')})"
