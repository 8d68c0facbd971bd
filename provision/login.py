"""How to log in to a machine, and when one can: what is known of ssh without ssh."""

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from provision.known_hosts import KnownHosts
from provision.waiting import wait_until

#: One look at whether sshd answers, and how long between two.
_LOOK_S, _PAUSE_S = 1.0, 0.1


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to a machine. `key` is the path of a private key."""

    machine_id: str
    host: str
    port: int
    user: str
    key: Path
    known_hosts: KnownHosts

    def command(self) -> str:
        """Return the whole ssh command for a person."""
        options = {
            "HostKeyAlias": self.machine_id,
            "UserKnownHostsFile": str(self.known_hosts.path),
            "IdentitiesOnly": "yes",
        }
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        where = ["-p", str(self.port), f"{self.user}@{self.host}"]
        return shlex.join(["ssh", "-i", str(self.key), *words, *where])


def wait_for_sshd(host: str, port: int, *, timeout_s: float) -> None:
    """Wait until an ssh server answers, without logging in: its greeting is enough.

    A published port accepts connections before there is a server behind it.

    Raises:
        WaitTimeoutError: none within `timeout_s` seconds.
    """

    def greeted() -> bool | None:
        try:
            with socket.create_connection((host, port), timeout=_LOOK_S) as look:
                look.settimeout(_LOOK_S)
                return look.recv(4) == b"SSH-" or None
        except OSError:
            return None

    what = f"an ssh server on {host} port {port}"
    wait_until(greeted, what=what, timeout_s=timeout_s, interval_s=_PAUSE_S)
