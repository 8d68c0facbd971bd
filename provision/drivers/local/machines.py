"""One machine of the local cloud as podman sees it: a container with systemd as process 1."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from libcloud.compute.types import NodeState

from provision.drivers.local import labels, volumes
from provision.drivers.local.engine import Engine, limits
from provision.errors import Kind, ProvisionError

_SEED = "/var/lib/cloud/seed/nocloud"
#: A machine reaches what listens on this computer's 127.0.0.1 at 10.0.2.2.
_NETWORK = "slirp4netns:allow_host_loopback=true,enable_ipv6=false"
#: A machine is made and started within a moment, or whoever did it was killed in between.
_MADE_WITHIN_S = 60
_ATTEMPTS = 3
SSH = 22
#: Where a machine finds the folder of its gate.
GATE = "/run/streamboss-gate"
_STATES = {
    "running": NodeState.RUNNING,
    "paused": NodeState.SUSPENDED,
    "stopping": NodeState.STOPPING,
    "stopped": NodeState.STOPPED,
    "exited": NodeState.STOPPED,
    "removing": NodeState.TERMINATED,
}
_HALF_MADE = ("created", "configured", "initialized")


@dataclass(frozen=True, slots=True)
class Order:
    """A machine that is wanted."""

    id: str
    name: str
    cloud: str
    image_id: str
    memory_mib: int
    labels: Mapping[str, str]
    #: what others reach, besides ssh
    ports: tuple[int, ...] = ()
    #: a folder of this computer with a socket of podman's, for a machine that launches others
    gate: Path | None = None


def start_new(engine: Engine, order: Order, user_data: str) -> None:
    """Make a machine and start it, or raise."""
    meta_data = f"instance-id: {order.id}\nlocal-hostname: {hostname(order.name)}\n"
    files = {"meta-data": meta_data, "user-data": user_data}
    seed = volumes.packed(files)
    volume = volumes.create_seed(engine, order.cloud, order.id, seed)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _start(engine, order, volume, seed)
        except ProvisionError as error:
            # podman picks the ports, and somebody else was quicker to take it
            if error.kind is not Kind.RETRY or attempt == _ATTEMPTS:
                raise
            engine.run("rm", "--force", "--ignore", order.id)
        else:
            return


def remove(engine: Engine, cloud: str, machine_id: str) -> None:
    """End a machine at once and remove all that belongs to it, if it is there."""
    engine.run("rm", "--force", "--volumes", "--time", "0", "--ignore", machine_id)
    volumes.remove_all(engine, cloud, machine_id)


def forget_image(engine: Engine, image_id: str) -> None:
    """Delete an image; what machines and other images still need of it goes with the last."""
    where = labels.reference(image_id)
    rows = engine.listed("images", "--filter", f"reference={where}")
    if not rows:
        return
    engine.run("untag", where)
    remove_unused_layers(engine, str(rows[0]["Id"]))


def remove_unused_layers(engine: Engine, podman_id: str) -> None:
    """Remove a nameless image unless a machine or another image stands on it."""
    try:
        engine.run("rmi", podman_id)
    except ProvisionError as error:
        if error.kind is not Kind.GONE and " in use" not in str(error):
            raise


def rows(engine: Engine, cloud: str, *filters: str) -> list[dict[str, Any]]:
    """Return podman's rows of all machines of a cloud, or of those that `filters` let through."""
    more = [f"--filter={each}" for each in filters]
    return engine.listed("ps", "--all", "--filter", f"label={labels.CLOUD}={cloud}", *more)


def row(engine: Engine, cloud: str, machine_id: str) -> dict[str, Any]:
    """Return podman's row of one machine, or raise."""
    for each in rows(engine, cloud, f"name={machine_id}"):
        return each
    raise ProvisionError(f"no machine {machine_id} on the cloud {cloud}", Kind.GONE)


def being_made(engine: Engine, cloud: str) -> bool:
    """Say whether a podman is at work on a machine or an image that isn't listed yet.

    Behind a socket nobody can say. What it makes is listed within a moment; an image that it
    saves for somebody killed shows up later, and is garbage unless it is wanted.
    """
    if engine.socket:
        return False
    label = f"{labels.CLOUD}={cloud}".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            making = words[0].endswith(b"podman") and (b"run" in words or b"commit" in words)
            if making and any(word.endswith(label) for word in words):
                return True
    return False


def state(row: Mapping[str, Any], now: datetime) -> NodeState:
    """Return libcloud's state of a machine; one that was never started has failed."""
    said = str(row["State"])
    if said not in _HALF_MADE:
        return _STATES.get(said, NodeState.UNKNOWN)
    if row["StartedAt"] > 0:
        return NodeState.STOPPED  # it ran when this computer went down
    age_s = (now - datetime.fromtimestamp(row["Created"], UTC)).total_seconds()
    return NodeState.PENDING if age_s < _MADE_WITHIN_S else NodeState.ERROR


def published(row: Mapping[str, Any]) -> dict[int, int]:
    """Return the ports of 127.0.0.1 that lead to a machine's own, by these."""
    return {each["container_port"]: each["host_port"] for each in row.get("Ports") or ()}


def hostname(name: str) -> str:
    """Return the host name of a machine that people call `name`: letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-") or "machine"


def _start(engine: Engine, order: Order, volume: str, seed: bytes) -> None:
    if engine.socket is None:
        engine.run("run", "--detach", *_options(order, volume))
        return
    engine.run("create", *_options(order, volume))
    engine.run("cp", "-", f"{order.id}:{_SEED}", stdin=seed)
    engine.run("start", order.id)


def _options(order: Order, volume: str) -> list[str]:
    published = (SSH, *order.ports)
    gate = [f"--volume={order.gate}:{GATE}"] if order.gate else []
    return [
        *("--pull=never", "--name", order.id),
        *("--hostname", hostname(order.name), "--no-hosts"),
        *("--systemd=always", "--tty", "--log-opt=max-size=1mb"),  # a console, and it is kept
        *("--memory", f"{order.memory_mib}m", *limits()),
        # SYS_ADMIN: else systemd skips PrivateTmp=, ProtectSystem= ...; SYS_PTRACE: its root may
        # look at what others run, NET_ADMIN: and set up its own network, as on any computer
        "--cap-add=SYS_ADMIN,SYS_PTRACE,NET_ADMIN,AUDIT_WRITE",
        *labels.options(order.labels),
        *("--network", _NETWORK, *(f"--publish=127.0.0.1::{port}" for port in published)),
        *(f"--volume={volume}:{_SEED}", *gate),
        *(labels.reference(order.image_id), "/sbin/init"),
    ]
