"""Where this machine lets an agent make cgroups for its programs, if it does.

With version 2 that is a cgroup in which the agent is alone, as in a unit of systemd with
`Delegate=yes`: the agent moves into a leaf, so that the rest can be shared out. With version 1 each
controller has a hierarchy, and root may make folders in it; they are made when they are needed.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.operator.cgroup import Cgroup

log = logging.getLogger(__name__)

_MOUNT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("memory", "pids", "cpu")
_LEAF = "agent"


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The folder of each controller; none where cgroups can't be made."""

    folders: Mapping[str, Path] = field(default_factory=dict)

    def paths(self, operator: int) -> dict[str, str]:
        """Return what the cgroups of an operator's programs begin with, by controller."""
        return {name: f"{folder}/{operator}-" for name, folder in self.folders.items()}

    def remove(self, operator: int | None = None) -> bool:
        """End what is left of an operator's programs, or of all; say whether nothing is."""
        pattern = "*-*" if operator is None else f"{operator}-*"
        found = {each for folder in self.folders.values() for each in folder.glob(pattern)}
        left = [folder for folder in found if folder.is_dir() and not Cgroup((folder,)).remove()]
        return not left

    def close(self) -> None:
        """Remove our folders where they are of our own making."""
        self.remove()
        for folder in self.folders.values():
            with suppress(OSError):  # a unit's own cgroup is systemd's
                folder.rmdir()


def cgroups(node: str, scratch: Path) -> Cgroups:
    """Find out what this kernel allows, and prepare it."""
    digest = hashlib.sha256(os.fsencode(scratch)).hexdigest()[:16]
    try:
        own = _own_paths(Path("/proc/self/cgroup").read_text())
        if (_MOUNT / "cgroup.controllers").exists():
            made = Cgroups(_shared(_MOUNT / own[""].lstrip("/")))
        else:
            made = Cgroups(_hierarchies(own, f"streamboss-{node}-{digest}"))
    except (OSError, KeyError) as error:
        log.info("no cgroups for programs here (%s): their limits hold for each process", error)
        return Cgroups()
    made.remove()
    return made


def _own_paths(text: str) -> dict[str, str]:
    """Return our cgroup by controller from /proc/self/cgroup; version 2's has no name. Pure."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        found |= dict.fromkeys(names.split(","), path)
    return found


def _shared(unit: Path) -> dict[str, Path]:
    if (unit / "cgroup.procs").read_text().split() != [str(os.getpid())]:
        raise OSError("others are in the agent's own")
    leaf = unit / _LEAF
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text("0")
    (unit / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
    return dict.fromkeys(_CONTROLLERS, unit)


def _hierarchies(own: Mapping[str, str], name: str) -> dict[str, Path]:
    folders = {}
    for controller in _CONTROLLERS:
        above = _MOUNT / controller / own[controller].lstrip("/")
        if not above.is_dir():  # we see a part of the hierarchy, from within a container
            above = _MOUNT / controller
        if not os.access(above, os.W_OK):
            raise PermissionError(f"{above} can't be written")
        folders[controller] = above / name
    return folders
