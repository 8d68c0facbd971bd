"""An account on one cloud: what is there, in our own words, and whose it is."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from libcloud.compute.base import Node, NodeImage
from libcloud.compute.types import NodeState

from provision import images, views
from provision.calling import Caller
from provision.capabilities import Capability
from provision.classify import classify
from provision.drivers import capabilities_of
from provision.entries import CloudEntry, ImageQuery, LibcloudEntry
from provision.errors import Kind, ProvisionError
from provision.machine import OWNER, Image, Machine
from provision.waiting import Shared

T = TypeVar("T")


class Account:
    """What a cloud shows us. Threads may share it; each gets a driver of its own.

    Args:
        name: the cloud's name in the inventory.
        entry: what the inventory says of it.
        owner: whose machines and images ours are.
        connect: makes a driver.
        remembered: tags of machines by attempt, for clouds that keep none.
        saved: tags of images by name, for clouds that keep none.
        pinned: images by appliance, where the inventory names them.
    """

    def __init__(
        self,
        name: str,
        entry: CloudEntry,
        *,
        owner: str,
        connect: Callable[[], Any],
        remembered: Callable[[], Mapping[str, Mapping[str, str]]],
        saved: Callable[[], Mapping[str, Mapping[str, str]]],
        pinned: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.entry, self.owner = name, entry, owner
        self.caller = Caller(name, calls_per_s=entry.limits.calls_per_s)
        self._named = {**entry.images, **(pinned or {})}
        self._connect, self._remembered, self._saved = connect, remembered, saved
        self._threads = threading.local()
        self._machines = Shared(self._list_machines)

    @property
    def driver(self) -> Any:
        """This thread's driver."""
        if not hasattr(self._threads, "driver"):
            self._threads.driver = self._connect()
        return self._threads.driver

    @property
    def can(self) -> frozenset[Capability]:
        """What this cloud can do; `capabilities.explain` says what is done instead."""
        return capabilities_of(self.entry, self.driver)

    def node(self, machine: Machine) -> Node:
        """Return what libcloud wants for a machine: of our own drivers, little but its id."""
        if isinstance(self.entry, LibcloudEntry):
            nodes: list[Node] = self.repeat("list machines", self.driver.list_nodes)
            found = next((node for node in nodes if str(node.id) == machine.id), None)
            if found is not None:
                return found
        extra = {"tags": dict(machine.tags)}
        return Node(
            machine.id, machine.name, NodeState.UNKNOWN, [], [], driver=self.driver, extra=extra
        )

    def node_image(self, image: Image) -> NodeImage:
        """Return what libcloud wants for an image: little but its id counts."""
        return NodeImage(image.id, image.name, driver=self.driver, extra={"tags": dict(image.tags)})

    def destroy(self, node: Node, *, may_hide: bool) -> None:
        """End a machine; one that is gone already is no error, unless it `may_hide`."""
        try:
            self.driver.destroy_node(node)
        except Exception as error:
            if classify(error) is not Kind.GONE:
                raise
            if may_hide:
                raise ProvisionError(
                    f"{self.name}: {node.id} isn't listed yet", Kind.RETRY
                ) from error

    def repeat(self, doing: str, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, again while that helps.

        Raises:
            ProvisionError: says on which cloud, at what, and why.
        """
        return self.caller.repeat(doing, call)

    def ours(self, thing: Machine | Image) -> bool:
        """Say whether something is ours, by what the cloud shows of it. Never by a filter."""
        return thing.tags.get(OWNER) == self.owner

    def machines(self) -> list[Machine]:
        """Return all that the cloud lists, also what isn't ours or has ended.

        Threads that ask at the same time share one call.
        """
        return self._machines.get()

    def busy(self) -> bool:
        """Say whether something that nobody lists yet is under way, where that can be known."""
        known = getattr(self.driver, "ex_busy", None)
        return bool(known and known())

    def images(self) -> list[Image]:
        """Return the account's own images, also what isn't ours."""
        found = self.repeat("list images", self.driver.list_images)
        saved = {} if Capability.TAGS in self.can else self._saved()
        return [views.image(self.name, each, saved.get(each.name, {})) for each in found]

    def find_image(self, wanted: str | ImageQuery) -> Image:
        """Return an image: one that the inventory names, an appliance's newest, by id or by name.

        Or the newest that looks as `wanted` says.

        Raises:
            ProvisionError: it isn't there; names some that are.
        """
        meant = self._named.get(wanted, wanted) if isinstance(wanted, str) else wanted
        if isinstance(meant, ImageQuery):
            there = self._foreign_images(meant)
            found = images.newest(there, meant)
        else:
            there = self.images()
            own = [image for image in there if self.ours(image)]
            found = (
                images.of_appliance(own, meant) or images.named(there, meant) or self._by_id(meant)
            )
        if found is None:
            said = meant.name if isinstance(meant, ImageQuery) else meant
            raise images.missing(self.name, said, there)
        return found

    def key_pairs(self) -> list[str]:
        """Return the names of key pairs that are ours."""
        if Capability.KEY_PAIRS not in self.can:
            return []
        pairs = self.repeat("list key pairs", self.driver.list_key_pairs)
        return [pair.name for pair in pairs if pair.name.startswith(self.mark)]

    def groups(self) -> list[str]:
        """Return the names of security groups that are ours."""
        if Capability.FIREWALL not in self.can:
            return []
        names = self.repeat("list security groups", self.driver.ex_groups)
        return [name for name in names if name.startswith(self.mark)]

    def leftovers(self) -> list[Any]:
        """Return what crashes left and no list shows: kind, name, reason; if the driver can."""
        known = getattr(self.driver, "ex_list_leftovers", None)
        return self.repeat("list leftovers", known) if known else []

    def remove_leftover(self, leftover: Any) -> None:
        """Remove one of `leftovers`."""
        self.repeat(f"remove {leftover.name}", lambda: self.driver.ex_remove_leftover(leftover))

    @property
    def mark(self) -> str:
        """What names of our key pairs and security groups begin with."""
        return f"streamboss-{views.owner_mark(self.owner)}-"

    def _list_machines(self) -> list[Machine]:
        nodes = self.repeat("list machines", self.driver.list_nodes)
        remembered = self._remembered()
        return [views.machine(self.name, self.owner, node, remembered) for node in nodes]

    def _foreign_images(self, query: ImageQuery) -> list[Image]:
        """Return images that may fit `query`; on EC2 only those that the cloud finds by it."""
        filters: dict[str, Any] = {}
        if Capability.FILTERS in self.can:
            filters = {"ex_owner": query.owner, "ex_filters": {"name": query.name}}
        found = self.repeat("list images", lambda: self.driver.list_images(**filters))
        return [views.image(self.name, each, {}) for each in found]

    def _by_id(self, wanted: str) -> Image | None:
        """Return somebody else's public image, where ids can be asked for."""
        if Capability.FILTERS not in self.can or not wanted.startswith("ami-"):
            return None
        filters = {"ex_owner": None, "ex_filters": {"image-id": wanted}}
        found = self.repeat("list images", lambda: self.driver.list_images(**filters))
        return next((views.image(self.name, each, {}) for each in found if each.id == wanted), None)
