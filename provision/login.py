"""How to log in to a machine, and when one can: what is known of ssh without ssh."""

import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provision.known_hosts import KnownHosts
from provision.waiting import wait_until

#: One look at whether sshd answers, and how long between two.
_LOOK_S, _PAUSE_S = 1.0, 0.1
#: How often the machine itself is looked at, meanwhile.
_CHECK_S = 3.0


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


def wait_for_sshd(
    host: str, port: int, *, timeout_s: float, check: Callable[[], object] | None = None
) -> None:
    """Wait until an ssh server answers, without logging in: its greeting is enough.

    A published port accepts connections before there is a server behind it. `check` is called now
    and then while nobody answers, and raises if the machine will never run.

    Raises:
        WaitTimeoutError: none within `timeout_s` seconds.
    """
    looked_at = time.monotonic()

    def greeted() -> bool | None:
        nonlocal looked_at
        if _greets(host, port):
            return True
        if check and time.monotonic() - looked_at > _CHECK_S:
            check()
            looked_at = time.monotonic()
        return None

    what = f"an ssh server on {host} port {port}"
    wait_until(greeted, what=what, timeout_s=timeout_s, interval_s=_PAUSE_S)


def _greets(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_LOOK_S) as look:
            look.settimeout(_LOOK_S)
            return look.recv(4) == b"SSH-"
    except OSError:
        return False
