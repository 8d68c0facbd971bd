"""Nodes of machines, on disk before the manager hears of them: one who is killed leaves none there.

An empty file for each, named by its node, in a folder for each cloud; locked while it is launched.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliances.services import Manager
from provision.site import Site


@contextmanager
def noted(site: Site, node: str) -> Iterator[None]:
    """Note that a node is about to join with its machine, for the length of a `with` block."""
    path = _folder(site) / node
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget(site: Site, node: str, manager: Manager) -> None:
    """Remove a node, if it is there, and then the note of it.

    Raises:
        StreamsError: the manager doesn't answer, or refuses.
    """
    if any(known["name"] == node for known in manager.list("nodes")):
        manager.delete("nodes", node)
    (_folder(site) / node).unlink(missing_ok=True)


def stale(site: Site) -> list[str]:
    """Return the noted nodes whose machine has ended, or never came to be."""
    noted = sorted(path for path in _folder(site).glob("*") if not _is_locked(path))
    machines = {machine.name for machine in site.cloud.machines()} if noted else set[str]()
    return [path.name for path in noted if path.name not in machines]


def _folder(site: Site) -> Path:
    return site.state / "nodes" / site.cloud.name


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
