"""What is asked of a cloud when a machine is launched: checked first, then put in its words."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from libcloud.compute.base import NodeImage, NodeSize

from provision import views
from provision.account import Account
from provision.attempts import Thing
from provision.capabilities import Capability
from provision.creating import Creator
from provision.entries import CloudEntry
from provision.errors import Kind, ProvisionError
from provision.journal import Journal
from provision.leases import Lease
from provision.machine import ATTEMPT, OWNER, Machine
from provision.views import token

log = logging.getLogger(__name__)


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


class Launcher:
    """Launches machines on one account: in the journal first, once, and told as ours after it."""

    def __init__(self, account: Account, journal: Journal, creator: Creator) -> None:
        self._account, self._journal, self._creator = account, journal, creator

    def check_room(self, there: Sequence[Machine]) -> None:
        """Refuse a machine beyond what the inventory allows: it may be somebody's money.

        Raises:
            ProvisionError: of kind CAPACITY.
        """
        limit = self._account.entry.limits.machines
        if len(there) >= limit:
            raise ProvisionError(
                f"{self._account.name}: {len(there)} machines of ours run already, and the"
                f" inventory allows {limit} (limits: machines); terminate one or raise it",
                Kind.CAPACITY,
            )

    def launch(self, request: Request) -> Machine:
        """Launch what is wanted.

        Raises:
            ProvisionError: refused, and nothing was launched; or, of kind RETRY, nobody knows.
        """
        tags = {**request.tags, OWNER: self._account.owner}
        attempt = self._journal.intend(Thing.MACHINE, self._account.name, request.name, tags)
        tagged = replace(request, tags={**tags, ATTEMPT: attempt})
        made = self._creator.create(
            attempt,
            f"launch {request.name}",
            lambda: self._create(tagged, attempt),
            lambda: self._find(attempt),
            idempotent=Capability.CLIENT_TOKEN in self._account.can,
        )
        self._journal.done(attempt, made.id)
        log.info("%s: launched %s (%s)", self._account.name, request.name, made.id)
        return made

    def _find(self, attempt: str) -> Machine | None:
        account = self._account
        listed = [m for m in account.machines() if account.ours(m)]
        return next((m for m in listed if m.tags.get(ATTEMPT) == attempt), None)

    def _create(self, request: Request, attempt: str) -> Machine:
        account, driver = self._account, self._account.driver
        keywords = arguments(request, attempt, account.owner, account.can)
        size = NodeSize(request.size, request.size, 0, 0, 0, 0, driver=driver)
        image = NodeImage(request.image, request.image, driver=driver)
        node = driver.create_node(size=size, image=image, **keywords)
        made = views.machine(account.name, account.owner, node, {})
        if made.tags.get(ATTEMPT) != attempt:
            account.destroy(node, may_hide=False)
            raise ProvisionError(
                f"{account.name}: keeps neither tags nor names: nobody could tell later whose"
                f" {made.id} is, so it was ended again"
            )
        return replace(
            made,
            name=request.name,
            image=request.image,
            size=request.size,
            tags=request.tags,
            lease=request.lease,
        )
