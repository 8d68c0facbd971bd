"""Processes that are surely ours: a pid alone may belong to somebody else by now."""

import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Places in /proc/PID/stat, counted after the name (which may hold anything, also spaces).
_STATE, _STARTED = 0, 19


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of this machine's life: pid, start (clock ticks since boot), boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return who has `pid` now; None when nobody does, or only its remains."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[_STATE] in "ZX":
            return None
        return cls(pid, int(fields[_STARTED]), _BOOT_ID.read_text().strip())

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return cls(int(data["pid"]), int(data["started"]), str(data["boot"]))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return Identity.of(self.pid) == self

    def kill(self) -> None:
        """End this process and nobody else: the descriptor keeps the pid from changing hands."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
