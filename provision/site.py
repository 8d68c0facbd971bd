"""Where machines are built and run: one cloud, how we log in there, where we keep what."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from provision import keys, known_hosts, ssh
from provision.capabilities import Capability
from provision.cloud import Cloud
from provision.inventory import Inventory
from provision.keys import KeyPair
from provision.known_hosts import KnownHosts
from provision.login import Login, wait_for_sshd
from provision.machine import Machine
from provision.secrets import Secrets
from provision.ssh import Shell

#: How long host keys may come to the console after sshd.
_CONSOLE_S = 5.0


@dataclass(frozen=True)
class Site:
    """One cloud, as whoever launches machines there needs it."""

    cloud: Cloud
    inventory: Inventory
    secrets: Secrets = field(repr=False)

    @property
    def state(self) -> Path:
        """The folder beside the journal, with key pair, host keys, logs and Python packages."""
        return self.cloud.journal.folder.parent

    @cached_property
    def key(self) -> KeyPair:
        """The key pair with which we log in; made when first asked for."""
        return keys.ensure(self.state / "keys", comment=f"streamboss {self.cloud.owner}")

    @property
    def packages(self) -> Path:
        """Where Python packages are kept."""
        return self.state / "packages"

    def contents(self, image: str) -> Path:
        """Return where it is kept what went into an image that was built here."""
        return self.state / "contents" / f"{image}.txt"

    def log(self, what: str) -> Path:
        """Return the log file of this run."""
        return self.state / "logs" / f"{what}-{self.cloud.journal.run}.log"

    def login(self, machine: Machine) -> Login:
        """Return how to log in to a machine that runs."""
        known = KnownHosts(self.state / "known_hosts")
        user = self.cloud.entry.ssh.user
        return Login(machine.id, str(machine.host), machine.ssh_port, user, self.key.path, known)

    @contextmanager
    def shell(self, machine: Machine, *, timeout_s: float | None = None) -> Iterator[Shell]:
        """Give a shell on a machine, known by what its console shows, as soon as it lets us in.

        Raises:
            HostKeyError: it isn't the machine that it should be.
            MachineFailedError: it has stopped or ended meanwhile.
            SshError: not let in within `timeout_s`; by default the inventory's.
        """
        login, timeout_s = self.login(machine), timeout_s or self.cloud.entry.ssh.timeout_s
        wait_for_sshd(
            *(login.host, login.port),
            timeout_s=timeout_s,
            check=lambda: self.cloud.wait_ready(machine),
        )
        if not login.known_hosts.keys(machine.id):
            login.known_hosts.remember(machine.id, self._on_console(machine))
        with ssh.connected(login, timeout_s=timeout_s) as shell:
            yield shell

    def secret_values(self, names: tuple[str, ...]) -> Mapping[str, str]:
        """Return secrets by the variables that `run` finds them in.

        Raises:
            SecretError: one isn't there; says where to put it.
        """
        return {re.sub("[-.]", "_", name).upper(): self.secrets.need(name) for name in names}

    def _on_console(self, machine: Machine) -> frozenset[str]:
        """Return the host keys on the console; none where the cloud doesn't show it in time."""
        deadline = time.monotonic() + _CONSOLE_S
        found = frozenset[str]()
        while Capability.CONSOLE in self.cloud.account.can and not found:
            found = known_hosts.on_console(self.cloud.console(machine))
            if time.monotonic() > deadline:
                break
            time.sleep(0 if found else 0.2)
        return found
