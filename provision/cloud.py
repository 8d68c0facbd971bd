"""One cloud, as everybody else uses it: what it does is leased, tagged and in the journal first."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Self

from provision import launching, leases
from provision.access import Access
from provision.account import Account
from provision.capabilities import Capability
from provision.creating import Creator
from provision.drivers import driver_for
from provision.errors import Kind, ProvisionError
from provision.inventory import Inventory
from provision.journal import Journal
from provision.launching import Launcher, Request
from provision.leases import Lease
from provision.machine import (
    APPLIANCE,
    ATTEMPT,
    RUN,
    Image,
    Machine,
    Role,
    State,
    lease_tags,
    ports_of,
)
from provision.saving import Images
from provision.secrets import Secrets
from provision.watching import Watch


class Cloud:
    """Machines and images of one cloud. Threads may share it.

    Args:
        account: what the cloud shows us.
        journal: of this run.
        hours: of a lease that names none.
        grace_s: for how long the cloud may not yet list what it has just created.
        interval_s: between two looks while waiting.
    """

    def __init__(
        self,
        account: Account,
        journal: Journal,
        *,
        hours: float = 24,
        grace_s: float = 60,
        interval_s: float = 2,
    ) -> None:
        self.account, self.journal = account, journal
        self.name, self.entry, self.owner = account.name, account.entry, account.owner
        self.grace_s, self.interval_s = grace_s, interval_s
        self._hours = account.entry.hours or hours
        self.watch = Watch(account, grace_s=grace_s, interval_s=interval_s)
        creator = Creator(account.caller, journal, grace_s=grace_s)
        self._launcher = Launcher(account, journal, creator)
        self.access = Access(account, journal)
        self.images = Images(account, journal, creator=creator, watch=self.watch)

    @classmethod
    def open(
        cls, inventory: Inventory, name: str | None, *, journal: Journal, secrets: Secrets
    ) -> Self:
        """Return a cloud of the inventory, its default one for None. Nothing is asked of it yet.

        Raises:
            InventoryError: there is no such cloud.
        """
        name, entry = inventory.cloud(name)
        account = Account(
            name,
            entry,
            owner=inventory.owner,
            connect=partial(driver_for, name, entry, secrets, journal.folder.parent),
            remembered=journal.tags_by_attempt,
            saved=partial(journal.images_by_name, name),
            pinned={
                appliance: described.images[name]
                for appliance, described in inventory.appliances.items()
                if name in described.images
            },
        )
        return cls(
            account,
            journal,
            hours=inventory.defaults.hours,
            grace_s=entry.grace_s,
            interval_s=entry.interval_s,
        )

    def check(self) -> None:
        """Ask the cloud anything at all.

        Raises:
            ProvisionError: it doesn't answer, or refuses the credentials.
        """
        self.account.caller.once("list machines", self.account.driver.list_nodes)

    # machines

    def machines(self) -> list[Machine]:
        """Return our machines that haven't ended."""
        listed = self.account.machines()
        return [m for m in listed if self.account.ours(m) and m.state is not State.TERMINATED]

    def machine(self, handle: str) -> Machine:
        """Return our machine with this id, or with this name if it is the only one.

        Raises:
            ProvisionError: there is none, or several have this name.
        """
        own = self.machines()
        found = [m for m in own if m.id == handle] or [m for m in own if m.name == handle]
        if len(found) == 1:
            return found[0]
        there = ", ".join(m.id for m in found or own) or "none"
        if found:
            raise ProvisionError(f"{self.name}: several machines are called {handle!r}: {there}")
        raise ProvisionError(
            f"{self.name}: no machine {handle!r} of ours; there are: {there}", Kind.GONE
        )

    def lease(
        self, hours: float | None, role: Role = Role.FLEET, save_as: str | None = None
    ) -> Lease:
        """Return the lease that a machine launched now would get.

        Raises:
            ProvisionError: more hours than the cloud allows.
        """
        return leases.granted(
            owner=self.owner,
            purpose=role,
            hours=self._hours if hours is None else hours,
            now=datetime.now(UTC),
            longest_hours=self.entry.limits.hours,
            save_as=save_as,
        )

    def launch(
        self,
        image: str,
        *,
        name: str,
        size: str = "small",
        hours: float | None = None,
        role: Role = Role.FLEET,
        save_as: str | None = None,
        user_data: str = "",
        public_key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Machine:
        """Launch a machine. It is leased, tagged and in the journal before it exists.

        Args:
            image: an appliance's name (its newest promoted image, or the one that the inventory
                names), an image's id or name, or one of the inventory's `images`.
            name: what people call it; also the appliance's, unless `tags` say another.
            size: one of the inventory's `sizes`, or the cloud's own word.
            hours: of its lease; None: the inventory's default.
            role: what it is for.
            save_as: the image that it becomes when its lease ends.
            user_data: for cloud-init.
            public_key: an OpenSSH public key to be let in, where the cloud has key pairs.
            tags: more tags.

        Raises:
            ProvisionError: refused by us or by the cloud, and nothing was launched; or, of kind
                RETRY, no answer: recovery will find what became of it.
        """
        launching.check_user_data(self.name, self.entry, self.account.can, user_data)
        lease = self.lease(hours, role, save_as)
        size = launching.size_id(self.name, self.entry, size)
        found = self.account.find_image(image)
        self._launcher.check_room(self.machines())
        more = {APPLIANCE: name, **(tags or {}), RUN: self.journal.run, **lease_tags(lease)}
        key, groups = self.access.key(public_key), self.access.groups(ports_of(more))
        return self._launcher.launch(
            Request(name, found.id, size, lease, more, user_data, key, groups)
        )

    def wait_ready(self, machine: Machine, *, timeout_s: float | None = None) -> Machine:
        """Wait until the cloud says that a machine runs, and where; ssh is `provision.ssh`'s.

        Raises:
            MachineFailedError: it will never run.
            WaitTimeoutError: not so in time; by default the inventory's `ssh: timeout_s`.
        """
        return self.watch.ready(machine, timeout_s or self.entry.ssh.timeout_s)

    def terminate(self, machine: Machine) -> None:
        """Terminate a machine, and return when the cloud shows that it has ended.

        Raises:
            ProvisionError: it isn't ours, or the cloud refuses; the machine may still run.
        """
        self._check_ours(machine)
        node, young = self.account.node(machine), self._is_young(machine)
        self.account.repeat(
            f"terminate {machine.id}", lambda: self.account.destroy(node, may_hide=young)
        )
        self.watch.gone(machine)
        self.journal.undone(machine.tags.get(ATTEMPT, ""))

    def start(self, machine: Machine) -> Machine:
        """Start a machine that was stopped, and return it when it runs; not its services.

        Raises:
            ProvisionError: it isn't ours, or this cloud can't.
        """
        self._check_ours(machine)
        self._need(Capability.STOP, "start machines")
        node = self.account.node(machine)
        self.account.repeat(f"start {machine.id}", lambda: self.account.driver.start_node(node))
        return self.wait_ready(machine)

    def open_gate(self, machine: Machine) -> str | None:
        """Let a machine of the role "manager" launch others here; twice is once.

        Returns a socket's path on that machine, for the inventory that it gets; None where
        credentials are enough.

        Raises:
            ProvisionError: it isn't ours, or doesn't run.
        """
        self._check_ours(machine)
        known = getattr(self.account.driver, "ex_open_gate", None)
        if known is None:
            return None
        path: str = self.account.repeat("open a gate", lambda: known(self.account.node(machine)))
        return path

    def stop(self, machine: Machine) -> None:
        """Stop a machine, and return when it has stopped.

        Raises:
            ProvisionError: it isn't ours, or this cloud can't.
        """
        self._check_ours(machine)
        self._need(Capability.STOP, "stop machines")
        node = self.account.node(machine)
        self.account.repeat(f"stop {machine.id}", lambda: self.account.driver.stop_node(node))
        self.watch.stopped(machine)

    def renew(self, machine: Machine, hours: float) -> Machine:
        """Let a machine's lease end `hours` from now.

        Raises:
            ProvisionError: more hours than the cloud allows, or it isn't ours.
        """
        self._check_ours(machine)
        if Capability.LEASE in self.account.can:
            raise ProvisionError(
                f"{self.name}: this cloud ends machines at the hours that they were launched with;"
                " save this one, and launch it anew"
            )
        before = machine.lease or self.lease(hours)
        lease = leases.renewed(
            before,
            hours=hours,
            now=datetime.now(UTC),
            longest_hours=self.entry.limits.hours,
        )
        return replace(self.tag(machine, lease_tags(lease)), lease=lease)

    def tag(self, machine: Machine, tags: Mapping[str, str]) -> Machine:
        """Add to or replace tags of a machine; in the journal too, for clouds that keep none."""
        self.journal.changed(machine.tags.get(ATTEMPT, ""), tags)
        if Capability.RETAG in self.account.can:
            node = self.account.node(machine)
            self.account.repeat(
                f"tag {machine.id}", lambda: self.account.driver.ex_create_tags(node, dict(tags))
            )
        return replace(machine, tags={**machine.tags, **tags})

    def keep(self, machine: Machine) -> None:
        """Let a machine outlive the command that launched it, until its lease ends."""
        self.journal.keep(machine.tags.get(ATTEMPT, ""))

    def console(self, machine: Machine) -> str:
        """Return what a machine wrote while it booted; empty where the cloud doesn't show it."""
        if Capability.CONSOLE not in self.account.can:
            return ""
        node = self.account.node(machine)
        shown = self.account.repeat(
            f"console of {machine.id}", lambda: self.account.driver.ex_get_console_output(node)
        )
        return str(shown.get("output") or "")

    def save(
        self,
        machine: Machine,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        role: Role = Role.IMAGE,
        timeout_s: float = 3600,
    ) -> Image:
        """Save a machine as an image, and return it when machines can be launched from it.

        The machine is stopped for it, so that its disk is in one piece, and stays stopped; Nimbus
        ends it.

        Args:
            machine: ours, running or stopped.
            name: the image's; not taken yet.
            tags: more tags; the machine's own appliance unless they name one.
            role: what the image is for.
            timeout_s: for how long it is waited for.

        Raises:
            ProvisionError: not ours, the name is taken, or the cloud can't or won't.
            WaitTimeoutError: not there in time. It may still come, and is in the journal.
        """
        self._check_ours(machine)
        self._need(Capability.SNAPSHOT, "save machines as images")
        self.images.check_free(name)
        if Capability.STOP in self.account.can and machine.state is not State.STOPPED:
            self.stop(machine)
        more = {APPLIANCE: name, **(tags or {})}
        return self.images.save(machine, name, more, role=role, timeout_s=timeout_s)

    def _is_young(self, machine: Machine) -> bool:
        """Say whether the cloud may not know yet what it has just launched."""
        known = self.journal.attempts().get(machine.tags.get(ATTEMPT, ""))
        born_at = known.at if known else machine.launched_at
        return born_at is not None and (datetime.now(UTC) - born_at).total_seconds() < self.grace_s

    def _check_ours(self, machine: Machine) -> None:
        if not self.account.ours(machine):
            raise ProvisionError(f"{self.name}: {machine.id} isn't ours; hands off")

    def _need(self, capability: Capability, what: str) -> None:
        if capability not in self.account.can:
            raise ProvisionError(f"{self.name}: this cloud can't {what}")
