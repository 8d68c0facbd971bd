"""The host keys of a run's machines, in a file that ssh reads, too."""

import os
import re
from pathlib import Path

from provision.errors import ProvisionError

#: cloud-init writes this onto the console of each machine, on any cloud.
_ON_CONSOLE = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
_KEY = re.compile(r"\b((?:ssh|ecdsa)-[\w@.-]+) +([A-Za-z0-9+/]+=*)")


class HostKeyError(ProvisionError):
    """A machine showed another host key than it should: perhaps it isn't the one we launched."""


class KnownHosts:
    """A file in known_hosts' format.

    A machine's id stands where host names do (ssh's HostKeyAlias): addresses and ports are used
    again, ids aren't.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def remember(self, machine_id: str, keys: frozenset[str]) -> None:
        """Let a machine be known by `keys` (`type base64`), those that its console shows."""
        new = keys - self.keys(machine_id)
        lines = "".join(f"{machine_id} {key}\n" for key in sorted(new))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # one write: a crash leaves whole lines
        with os.fdopen(os.open(self.path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(lines)

    def keys(self, machine_id: str) -> frozenset[str]:
        """Return the keys by which a machine is known; none before the first contact."""
        if not self.path.exists():
            return frozenset()
        lines = (line.partition(" ") for line in self.path.read_text("ascii").splitlines())
        return frozenset(key for name, _, key in lines if name == machine_id)

    def check(self, machine_id: str, key: str) -> None:
        """Accept `key` if the machine is known by it, or isn't known yet: then it is from now on.

        Raises:
            HostKeyError: it is known by other keys.
        """
        known = self.keys(machine_id)
        if known and key not in known:
            raise HostKeyError(
                f"{machine_id}: its ssh host key isn't the one it had, or showed on its console: "
                f"it may be another machine. If you know better, remove it from {self.path}"
            )
        self.remember(machine_id, frozenset({key}))


def on_console(text: str) -> frozenset[str]:
    """Return the host keys (`type base64`) that a machine's console shows, or none yet."""
    blocks = _ON_CONSOLE.findall(text)
    return frozenset(f"{kind} {key}" for block in blocks for kind, key in _KEY.findall(block))
