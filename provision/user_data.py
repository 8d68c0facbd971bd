"""What a machine's cloud-init is told: who may log in, and the files that it starts with."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from provision import leases
from provision.capabilities import Capability
from provision.entries import CloudEntry
from provision.errors import ProvisionError
from provision.leases import Lease

AGENT_FILE, LEASE_FILE = "/etc/streamboss/agent.json", "/etc/streamboss/lease"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def told_by_ssh(can: frozenset[Capability]) -> bool:
    """Say whether machines of a cloud that `can` do this get their files by ssh, once they are up.

    Where the cloud takes no user data, or, as Nimbus, lets us in and ends machines by itself, but
    only those that were told nothing.
    """
    alone = frozenset({Capability.LEASE, Capability.KEY_PAIRS})
    return Capability.USER_DATA not in can or alone <= can


def user_data(
    can: frozenset[Capability],
    public_key: str,
    files: Mapping[str, str],
    commands: Sequence[Sequence[str]] = (),
) -> str:
    """Return what cloud-init is told on a cloud that `can` do this; nothing if ssh tells it."""
    return "" if told_by_ssh(can) else cloud_config(public_key, files, commands)


def cloud_config(
    public_key: str, files: Mapping[str, str], commands: Sequence[Sequence[str]] = ()
) -> str:
    """Return user data: `files` by path, readable by root only; `commands` at the end of booting.

    JSON is YAML, too, and compact: some clouds take little.
    """
    config: dict[str, Any] = {"ssh_authorized_keys": [public_key]}
    if files:
        config["write_files"] = [
            {"path": path, "content": text, "permissions": "0600"} for path, text in files.items()
        ]
    if commands:
        config["runcmd"] = [list(words) for words in commands]
    return f"#cloud-config\n{json.dumps(config, separators=(',', ':'))}\n"


def lease_files(lease: Lease) -> dict[str, str]:
    """Return the file from which the machine's own timer reads when to shut down."""
    return lease_file(lease, lease.starts_at)


def lease_file(lease: Lease, now: datetime) -> dict[str, str]:
    """Return that file as it is told at `now`: the end, and the seconds until then.

    So a machine whose clock is wrong can tell, too, how long it may live.
    """
    left_s = math.ceil((lease.ends_at - now).total_seconds())
    return {LEASE_FILE: f"{leases.written(lease.ends_at)} {left_s}\n"}


def shutdown(lease: Lease) -> list[str]:
    """Return the command by which a machine without that timer ends itself."""
    minutes = math.ceil((lease.terminates_at - lease.starts_at).total_seconds() / 60)
    return ["shutdown", "-h", f"+{minutes}"]


def agent_file(cloud: str, entry: CloudEntry, config: Mapping[str, Any]) -> dict[str, str]:
    """Return `agent.json` as it must be on a machine of `cloud`, by path.

    Raises:
        ProvisionError: machines there can't reach the broker's address.
    """
    urls = [reachable(cloud, entry, url) for url in config["amqp_urls"]]
    host = {"services_host": entry.services_host} if entry.services_host else {}
    return {AGENT_FILE: json.dumps({**config, **host, "amqp_urls": urls}) + "\n"}


def reachable(cloud: str, entry: CloudEntry, url: str) -> str:
    """Return an address of a service as machines of `cloud` have to write it.

    Raises:
        ProvisionError: it is this computer's own, and the inventory names no way to it.
    """
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return url
    if entry.services_host is None:
        raise ProvisionError(
            f"{cloud}: its machines can't reach a broker on {parts.hostname}: set"
            " STREAMBOSS_AMQP_URL and STREAMBOSS_MANAGER_URL to a manager that they can reach, or"
            f" services_host of clouds: {cloud}, in the inventory"
        )
    login, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{login}{at}{entry.services_host}{port}").geturl()
