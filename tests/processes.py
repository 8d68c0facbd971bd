"""Other processes, looked at from outside through /proc."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> set[tuple[int, str]]:
    """Return pid and start time of each process below `pid`."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                below.setdefault(int(fields[1]), []).append(int(entry.name))
    found, ahead = set[tuple[int, str]](), [pid]
    while ahead:
        children = below.get(ahead.pop(), [])
        found |= {(child, started_at(child)) for child in children}
        ahead += children
    return {(child, started) for child, started in found if started}


def is_operator(pid: int) -> bool:
    """Say whether `pid` is an operator, and not the wrapper around one."""
    try:
        words = (Path(f"/proc/{pid}/cmdline")).read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0] == os.fsencode(sys.executable) and b"agent.operator" in words


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from the state on; nothing for what is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def started_at(pid: int) -> str:
    """Return when `pid` was started, in ticks: with it a pid is one process; empty if gone."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def environment_of(pid: int) -> list[bytes]:
    """Return the environment with which `pid` was started; nothing for what is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def sigkill(*pids: int) -> None:
    """SIGKILL each of these that still lives."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
