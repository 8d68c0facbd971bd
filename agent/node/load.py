"""How busy this machine is, from /proc."""

from pathlib import Path

_STAT = Path("/proc/stat")
_MEMINFO = Path("/proc/meminfo")
#: /proc/stat's columns: user nice system idle iowait irq softirq steal; guest is within user.
_COUNTED = 8
_IDLE = slice(3, 5)


class Load:
    """CPU since the last look, and memory in use."""

    def __init__(self) -> None:
        self._last = _ticks()

    def cpu_percent(self) -> float | None:
        """Return the share of all cores that was busy since the last call."""
        busy, total = _ticks()
        (last_busy, last_total), self._last = self._last, (busy, total)
        if total <= last_total:
            return None
        return round(100 * min(1.0, max(0.0, (busy - last_busy) / (total - last_total))), 1)


def memory_bytes() -> tuple[int | None, int | None]:
    """Return the machine's memory in use, caches not counted, and all that it has."""
    try:
        lines = _MEMINFO.read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (s.partition(":") for s in lines)}
        return (kib["MemTotal"] - kib["MemAvailable"]) * 1024, kib["MemTotal"] * 1024
    except (OSError, ValueError, LookupError):
        return None, None


def _ticks() -> tuple[int, int]:
    try:
        columns = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return 0, 0
    total = sum(columns[:_COUNTED])
    return total - sum(columns[_IDLE]), total
