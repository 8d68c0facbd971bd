"""Limits that hold for a program with all its children: a cgroup for each start.

The agent finds out where cgroups may be made (`agent.node.cgroups`), and gives every operator a
path for each controller, to which a number is added. With cgroups of version 2 all paths are the
same; with version 1 each controller has a hierarchy of its own.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streams.definition import Limits

#: What the kernel counts CPU time by.
_PERIOD_US = 100_000
#: Goes into each cgroup before it becomes the program, so that it never was outside.
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 126; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One program's cgroup: a folder in each hierarchy."""

    folders: tuple[Path, ...]

    def entered(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return `words` to be run within it."""
        files = [f"{folder}/cgroup.procs" for folder in self.folders]
        return ("/bin/sh", "-c", _ENTER, "sh", *files, "--", *words)

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process in it for want of memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    words = (folder / name).read_text().split()
                    if words[words.index("oom_kill") + 1] != "0":
                        return True
        return False

    def remove(self) -> bool:
        """End whoever is left in it; say whether it is gone."""
        for folder in self.folders:
            _empty(folder)
            with suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self.folders)


def make(paths: Mapping[str, str], number: int, limits: Limits) -> Cgroup:
    """Make a cgroup with these limits.

    Raises:
        OSError: the kernel refuses.
    """
    values = _wanted(limits)
    folders = {name: Path(f"{paths[name]}{number}") for name in values}
    made = Cgroup(tuple(dict.fromkeys(folders.values())))
    try:
        for folder in made.folders:
            folder.mkdir(parents=True)
        for controller, files in values.items():
            for names, value in files.items():
                _write(folders[controller], names, value)
    except OSError:
        made.remove()
        raise
    return made


def wanted(limits: Limits) -> bool:
    """Say whether a cgroup would hold any of these limits."""
    return bool(_wanted(limits))


def needed(limits: Limits) -> bool:
    """Say whether these limits can't be held otherwise."""
    return limits.processes is not None or limits.cpus is not None


def _wanted(limits: Limits) -> dict[str, dict[tuple[str, ...], str]]:
    """Return values by controller and by the names that versions 2 and 1 have for a file."""
    found: dict[str, dict[tuple[str, ...], str]] = {}
    if limits.memory_bytes is not None:
        found["memory"] = {
            ("memory.max", "memory.limit_in_bytes"): str(limits.memory_bytes),
            ("memory.swap.max",): "0",
            ("memory.oom.group",): "1",
        }
    if limits.processes is not None:
        found["pids"] = {("pids.max",): str(limits.processes)}
    if limits.cpus is not None:
        quota = round(limits.cpus * _PERIOD_US)
        found["cpu"] = {("cpu.max", "cpu.cfs_quota_us"): str(quota)}
    return found


def _write(folder: Path, names: Sequence[str], value: str) -> None:
    """Write to the first of these files that is there; some belong to one version only."""
    for name in names:
        if (folder / name).exists():
            (folder / name).write_text(value)
            return


def _empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / "cgroup.kill").write_text("1")
        return
    with suppress(OSError):
        for pid in map(int, (folder / "cgroup.procs").read_text().split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
