"""What is said of a manager that was deployed: where it is, until when, how one gets in."""

from collections.abc import Iterable
from pathlib import Path

from appliances.deployment.deploy import Deployed
from appliances.deployment.settings import AMQP, HTTP, S3
from provision import leases
from provision.entries import CloudEntry
from provision.machine import Machine, Role

_LOOPBACK = "127.0.0.1"


def summary(done: Deployed, entry: CloudEntry, login: str, env_file: Path) -> list[str]:
    """Return lines about a manager. `login`: the ssh command."""
    machine, env = done.machine, done.env
    lines = [f"manager: {env['STREAMBOSS_MANAGER_URL']} ({done.changed})"]
    lines += [f"handle: {machine.id}"]
    lines += [leases.announcement(machine.lease)] if machine.lease else []
    lines += [f"settings: {env_file} (log in as {env['STREAMBOSS_USER']}; it holds the password)"]
    lines += [login]
    return lines if machine.host == _LOOPBACK else [*lines, *_in_the_clear(entry, login)]


def leftover(machines: Iterable[Machine]) -> list[str]:
    """Return what to know of machines that a manager may have left when it went."""
    fleet = [machine.id for machine in machines if machine.role == Role.FLEET]
    if not fleet:
        return []
    return [f"note: still there, until their leases end: {', '.join(fleet)} ('fab terminate')"]


def _in_the_clear(entry: CloudEntry, login: str) -> list[str]:
    """Return what to know about who reaches it, and who can listen."""
    numbers = f"{AMQP}, {HTTP} and {S3}"
    if entry.ssh.cidr is None:
        reached = f"note: no ssh: cidr in the inventory: let ports {numbers} in yourself"
    else:
        reached = f"note: ports {numbers} are open to {entry.ssh.cidr} and to our own machines"
    tunnel = " ".join(f"-L {port}:{_LOOPBACK}:{port}" for port in (AMQP, HTTP, S3))
    return [
        f"{reached}; what goes there isn't encrypted",
        f"a tunnel: {login.replace('ssh ', f'ssh -N {tunnel} ', 1)}",
    ]
