"""The work on one machine, for any thread: to launch it, to look, to end it for good.

Each piece may be cut off anywhere and done again: the record came before it, and the cloud is
asked what there is.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from manager.machines import sightings
from manager.machines.ground import Ground
from manager.machines.model import Breaker, MachineRecord, Offer
from manager.machines.needs import offered
from manager.machines.sightings import Findings
from provision import agent, renewing
from provision.cloud import Cloud
from provision.errors import Kind, ProvisionError
from provision.machine import APPLIANCE, LAUNCHER, NODE, TERM, Machine
from provision.site import Site
from provision.user_data import agent_file, lease_files, told_by_ssh, user_data

log = structlog.get_logger()
#: So much of a console is kept of a machine that failed to boot.
_CONSOLE_LINES = 20


class MachineStore(Protocol):
    """What is kept of machines."""

    def now(self) -> datetime:
        """Return the time by the clock of the records."""

    def machines(self, *, ended_since: datetime | None = None) -> list[MachineRecord]:
        """Return the machines that haven't ended, or not before then."""

    def breakers(self) -> dict[tuple[str, str], Breaker]:
        """Return the breakers by cloud and image."""

    def note_launched(self, node: str, handle: str, now: datetime) -> bool:
        """Keep a machine's handle; False: nobody wants it any more."""

    def note_machine(
        self, node: str, *, broken: str | None = None, ends_at: datetime | None = None
    ) -> None:
        """Keep what is wrong with a machine, or its lease's end."""

    def note_console(self, node: str, console: str) -> None:
        """Keep the last words of a machine that failed to boot."""

    def note_ended(self, node: str, now: datetime) -> None:
        """Keep that a machine is gone for sure."""


class Logins(Protocol):
    """The nodes' users of the broker."""

    def add_node(self, name: str) -> Mapping[str, Any]:
        """Make a node's user; return what its agent.json says of the broker."""

    def remove_node(self, name: str) -> None:
        """Delete a node's user."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is needed to work on machines of one cloud.

    `launcher` stands for the manager's database; `forget` is told of each node that is gone.
    """

    ground: Ground
    store: MachineStore
    logins: Logins
    launcher: str
    forget: Callable[[str], object]

    def launch(self, record: MachineRecord, offer: Offer) -> None:
        """Ask the cloud for a machine, once. A refusal ends its record.

        Raises:
            ProvisionError: refused; or, of kind RETRY, nobody knows, and a look will find out.
            BrokerError: the node couldn't be made; nothing was launched.
        """
        site = self.ground.site()
        try:
            machine, files = self._launched(site, record, offer)
        except ProvisionError as error:
            if error.kind is not Kind.RETRY:
                self._close(record)
            raise
        if not self.store.note_launched(record.node, machine.id, self.store.now()):
            site.cloud.terminate(machine)
            return
        if told_by_ssh(site.cloud.account.can):
            ready = site.cloud.wait_ready(machine)
            with site.shell(ready) as shell:
                agent.tell(site.cloud.account.can, shell, files)

    def look(self, before: Findings) -> Findings:
        """Compare the cloud with the records, and note what differs.

        Raises:
            ProvisionError: the cloud doesn't answer.
        """
        cloud = self.ground.site().cloud
        listed = cloud.machines()
        records = [r for r in self.store.machines() if r.cloud == cloud.name]
        seen = sightings.found(
            listed,
            records,
            launcher=self.launcher,
            before=before,
            now=self.store.now(),
            grace_s=cloud.grace_s,
        )
        for node, machine in seen.adopted.items():
            self.store.note_launched(node, machine.id, self.store.now())
        for node, text in seen.broken.items():
            self.store.note_machine(node, broken=text)
        for node, ends_at in seen.leases.items():
            self.store.note_machine(node, ends_at=ends_at)
        return seen

    def end(self, record: MachineRecord) -> None:
        """Terminate a machine, wait until the cloud confirms it, and close its record.

        Raises:
            ProvisionError: the cloud doesn't answer, or refuses.
        """
        cloud = self.ground.site().cloud
        there = sightings.machines_of(record, cloud.machines(), self.launcher)
        if record.ready_at is None:
            self._keep_console(cloud, record, there)
        for machine in there:
            cloud.terminate(machine)
        if not there and not self._is_absent(cloud, record):
            return
        self._close(record)

    def renew(self, record: MachineRecord, hours: float) -> str:
        """Let a machine's lease end `hours` from now; return what could not be told to it.

        Raises:
            ProvisionError: more hours than the cloud allows, or the machine isn't there.
        """
        site = self.ground.site()
        machine = site.cloud.machine(record.handle or record.node)
        renewed, trouble = renewing.renew(site, machine, hours)
        if renewed.lease:
            self.store.note_machine(record.node, ends_at=renewed.lease.ends_at)
        return trouble

    def terminate(self, machine: Machine) -> None:
        """Terminate a machine that has no record.

        Raises:
            ProvisionError: the cloud doesn't answer, or refuses.
        """
        node = machine.tags.get(NODE, "")
        log.warning("a machine that nobody wants is terminated", node=node, handle=machine.id)
        self.ground.site().cloud.terminate(machine)

    def close_unlaunched(self, record: MachineRecord) -> None:
        """Close the record of a machine that never came: its launch was cut off."""
        log.warning("a launch was cut off", node=record.node, cloud=record.cloud)
        self._close(record)

    def _launched(
        self, site: Site, record: MachineRecord, offer: Offer
    ) -> tuple[Machine, Mapping[str, str]]:
        cloud = site.cloud
        config: dict[str, Any] = {
            "name": record.node,
            "offers": [offered(offer.application, offer.content)],
            **self.logins.add_node(record.node),
        }
        appliance = site.inventory.appliance(offer.application)
        if appliance.slots:
            config["slots"] = appliance.slots
        files = lease_files(cloud.lease(offer.hours)) | agent_file(cloud.name, cloud.entry, config)
        machine = cloud.launch(
            offer.image,
            name=record.node,
            size=offer.size,
            hours=offer.hours,
            user_data=user_data(cloud.account.can, site.key.public, files),
            public_key=site.key.public,
            tags={
                APPLIANCE: offer.application,
                NODE: record.node,
                TERM: str(record.term),
                LAUNCHER: self.launcher,
            },
        )
        return machine, files

    def _keep_console(self, cloud: Cloud, record: MachineRecord, there: Sequence[Machine]) -> None:
        if (record.cloud, record.image) not in self.store.breakers():
            return
        for machine in there:
            try:
                lines = cloud.console(machine).strip().splitlines()[-_CONSOLE_LINES:]
            except ProvisionError as error:
                lines = [f"its console can't be read: {error}"]
            self.store.note_console(record.node, "\n".join(line.rstrip() for line in lines))

    def _is_absent(self, cloud: Cloud, record: MachineRecord) -> bool:
        """Say whether a machine that one list didn't show is gone for sure."""
        if (self.store.now() - record.phase_at).total_seconds() < cloud.grace_s:
            return False
        time.sleep(cloud.interval_s)
        return not sightings.machines_of(record, cloud.machines(), self.launcher)

    def _close(self, record: MachineRecord) -> None:
        self.logins.remove_node(record.node)
        self.store.note_ended(record.node, self.store.now())
        self.forget(record.node)
