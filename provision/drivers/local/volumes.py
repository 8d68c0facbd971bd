"""Volumes of the local cloud: a machine's user data, and tags that changed.

podman can't change the labels of what exists, so changed tags are the labels of a volume that
nobody mounts. The one with the highest number counts.
"""

import io
import tarfile
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from provision.drivers.local import labels
from provision.drivers.local.engine import Engine
from provision.errors import Kind, ProvisionError


def create_seed(engine: Engine, cloud: str, machine_id: str, files: bytes) -> str:
    """Make the volume from which a machine's cloud-init reads, and return its name.

    Before the machine: user data is never in a file of ours, and a snapshot doesn't contain it.
    A podman behind a socket can't fill a volume that no machine has: there it stays empty.
    """
    name = f"{machine_id}.seed"
    engine.run("volume", "create", *labels.options(_owned(cloud, machine_id)), name)
    if engine.socket is None:
        engine.run("volume", "import", name, "-", stdin=files)
    return name


def add_tags(
    engine: Engine, cloud: str, resource_id: str, before: Mapping[str, str], new: Mapping[str, str]
) -> None:
    """Let `new` replace and add to the tags of a machine or image; `before` are its first ones."""
    while True:
        rows = [row for row in _rows(engine, cloud) if _number(row) and _owner(row) == resource_id]
        latest = max(rows, key=_number, default=None)
        old = labels.read(labels.of_row(latest)) if latest else dict(before)
        tags = {labels.TAGS: labels.written(old | dict(new))}
        name = f"{resource_id}.tags.{_number(latest) + 1 if latest else 1}"
        try:
            engine.run("volume", "create", *labels.options(_owned(cloud, resource_id) | tags), name)
        except ProvisionError as error:
            if "already exists" in str(error):
                continue  # somebody else changed them just now: on top of theirs
            raise
        _remove(engine, [str(row["Name"]) for row in rows])
        return


def changed_tags(engine: Engine, cloud: str) -> dict[str, dict[str, str]]:
    """Return the tags of all resources whose tags were changed, by id."""
    rows = sorted((row for row in _rows(engine, cloud) if _number(row)), key=_number)
    return {_owner(row): labels.read(labels.of_row(row)) for row in rows}


def remove_all(engine: Engine, cloud: str, resource_id: str) -> None:
    """Remove the volumes of a machine or image that is gone."""
    _remove(
        engine, [str(row["Name"]) for row in _rows(engine, cloud) if _owner(row) == resource_id]
    )


def by_owner(engine: Engine, cloud: str) -> dict[str, list[dict[str, Any]]]:
    """Return podman's rows of all volumes, by the id that they belong to."""
    owned = defaultdict[str, list[dict[str, Any]]](list)
    for row in _rows(engine, cloud):
        owned[_owner(row)].append(row)
    return owned


def _remove(engine: Engine, names: list[str]) -> None:
    try:
        if names:
            engine.run("volume", "rm", "--force", *names)
    except ProvisionError as error:
        if error.kind is not Kind.GONE:
            raise


def _rows(engine: Engine, cloud: str) -> list[dict[str, Any]]:
    return engine.listed("volume", "ls", "--filter", f"label={labels.CLOUD}={cloud}")


def _owned(cloud: str, resource_id: str) -> dict[str, str]:
    return {labels.CLOUD: cloud, labels.OF: resource_id}


def _owner(row: Mapping[str, Any]) -> str:
    return labels.of_row(row).get(labels.OF, "")


def _number(row: Mapping[str, Any]) -> int:
    """Return which change of tags a volume is, from 1; 0 for a volume that is none."""
    _, mark, number = str(row["Name"]).rpartition(".tags.")
    return int(number) if mark else 0


def packed(files: Mapping[str, str]) -> bytes:
    """Return a tar archive of `files`, readable by root only: user data may hold secrets."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o600
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
