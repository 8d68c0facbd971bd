"""What crashes leave of a local cloud that no list of machines or images shows."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from provision.drivers.local import labels, machines, volumes
from provision.drivers.local.engine import Engine
from provision.errors import Kind, ProvisionError

_NAMESPACES = Path("/run/netns")
_ANYBODYS_S = 60
_MONITOR = re.compile(rb"^[^\0]*conmon\0.*\0-c\0([0-9a-f]{64})\0.*\0-n\0(i-[0-9a-f]{17})\0")


class LeftoverKind(StrEnum):
    """What sort of thing it is."""

    VOLUME = "volume"
    IMAGE = "image"
    PROCESS = "process"
    NETWORK_NAMESPACE = "network namespace"


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing, and why nobody needs it. `name` is podman's name, a process id or a path."""

    kind: LeftoverKind
    name: str
    reason: str


def find(engine: Engine, cloud: str, *, min_age_s: float) -> list[Leftover]:
    """Return what may go: only what is ours, or has nobody in it.

    What is younger than `min_age_s` may belong to a machine that is just being made; what doesn't
    say whose it is must be older than a minute in any case.
    """
    now = time.time()
    found = [*_volumes(engine, cloud, now - min_age_s), *_images(engine, cloud)]
    if (
        engine.socket is None and os.geteuid() == 0
    ):  # without root, these end with podman's own user namespace
        before = now - max(min_age_s, _ANYBODYS_S)
        found += [*_monitors(engine, before), *_namespaces(engine, before)]
    return found


def remove(engine: Engine, leftover: Leftover) -> None:
    """Remove one; it may be gone already."""
    if leftover.kind is LeftoverKind.VOLUME:
        engine.run("volume", "rm", "--force", leftover.name)
    elif leftover.kind is LeftoverKind.IMAGE:
        machines.remove_unused_layers(engine, leftover.name)
    elif leftover.kind is LeftoverKind.PROCESS:
        with suppress(ProcessLookupError):
            os.kill(int(leftover.name), signal.SIGKILL)  # its child, runc, dies of the closed pipe
    else:
        subprocess.run(["/bin/umount", leftover.name], capture_output=True, check=False)
        Path(leftover.name).unlink(missing_ok=True)


def _volumes(engine: Engine, cloud: str, before: float) -> Iterator[Leftover]:
    owned = volumes.by_owner(engine, cloud)
    alive = {row["Names"][0] for row in machines.rows(engine, cloud)} | _image_ids(engine, cloud)
    for owner, rows in owned.items():
        for row in rows:
            if (
                owner not in alive
                and datetime.fromisoformat(row["CreatedAt"]).timestamp() <= before
            ):
                yield Leftover(
                    LeftoverKind.VOLUME, row["Name"], f"{owner}, to which it belongs, is gone"
                )


def _images(engine: Engine, cloud: str) -> Iterator[Leftover]:
    for row in _image_rows(engine, cloud):
        if row.get("Dangling") and not row["Containers"]:
            yield Leftover(LeftoverKind.IMAGE, row["Id"], "deleted while a machine still used it")


def _monitors(engine: Engine, before: float) -> Iterator[Leftover]:
    """Yield podman's process beside a machine, where podman knows of no such machine."""
    known = set(engine.run("ps", "--all", "--quiet", "--no-trunc").split())
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            match = _MONITOR.match((path / "cmdline").read_bytes())
            if match and match[1].decode() not in known and path.stat().st_mtime <= before:
                reason = f"podman doesn't know its machine {match[2].decode()}"
                yield Leftover(LeftoverKind.PROCESS, path.name, reason)


def _namespaces(engine: Engine, before: float) -> Iterator[Leftover]:
    """Yield networks of machines that never came to be: no machine names them, nobody is in."""
    known = set(_named(engine))
    inhabited = set(_inhabited())
    for path in _NAMESPACES.glob("netns-*"):
        with suppress(FileNotFoundError):
            seen = path.stat()
            if str(path) not in known and seen.st_ino not in inhabited and seen.st_mtime <= before:
                yield Leftover(
                    LeftoverKind.NETWORK_NAMESPACE, str(path), "of no machine, nobody is in it"
                )


def _inhabited() -> Iterator[int]:
    """Yield the inodes of the network namespaces in which processes live."""
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        with suppress(OSError):
            yield path.stat().st_ino


def _named(engine: Engine) -> Sequence[str]:
    """Return the network namespaces that podman's machines name, anybody's."""
    names = engine.run("ps", "--all", "--quiet").split()
    if not names:
        return ()
    try:
        return engine.run("inspect", "--format", "{{.NetworkSettings.SandboxKey}}", *names).split()
    except ProvisionError as error:
        if error.kind is not Kind.GONE:
            raise
        return _named(engine)  # one has ended in between: look again


def _image_ids(engine: Engine, cloud: str) -> set[str]:
    return {labels.image_id(row) for row in _image_rows(engine, cloud)}


def _image_rows(engine: Engine, cloud: str) -> list[dict[str, Any]]:
    return engine.listed("images", "--filter", f"label={labels.CLOUD}={cloud}")
