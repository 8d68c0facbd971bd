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
    return lines if machine.host == _LOOPBACK else [*lines, _reached(entry)]


def leftover(machines: Iterable[Machine]) -> list[str]:
    """Return what to know of machines that a manager may have left when it went."""
    fleet = [machine.id for machine in machines if machine.role == Role.FLEET]
    if not fleet:
        return []
    return [f"note: still there, until their leases end: {', '.join(fleet)} ('fab terminate')"]


def _reached(entry: CloudEntry) -> str:
    """Return what to know about who reaches it."""
    numbers = f"{AMQP}, {HTTP} and {S3}"
    if entry.ssh.cidr is None:
        return f"note: no ssh: cidr in the inventory: let ports {numbers} in yourself"
    return f"note: ports {numbers} are open to {entry.ssh.cidr} and to our own machines"
