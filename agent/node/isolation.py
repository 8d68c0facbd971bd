"""No program outlives its operator, no operator its agent: how that is held on this kernel.

Where it may, each operator is the first process of a pid namespace: when it ends, however it ends,
the kernel ends all others in it; and it ends when its agent does. Elsewhere operators and programs
carry a mark in their environment, and the agent ends what still does when the operator is gone.
"""

import ctypes
import hashlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.protocol import MARK_VARIABLE

log = logging.getLogger(__name__)

_PROBE_S = 10
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What goes before an operator's command, and what it is marked with."""

    prefix: tuple[str, ...] = ()
    family: str | None = None

    def mark(self, operator: int) -> str | None:
        """Return the mark of one operator and its programs; None where namespaces do the work."""
        return None if self.family is None else f"{self.family}/{operator}"


def isolation(node: str, scratch: Path, *, namespaces: bool | None = None) -> Isolation:
    """Find out what this kernel allows; `namespaces` spares the question."""
    command = _namespace_command()
    if namespaces is None:
        namespaces = _works(command)
    if namespaces:
        return Isolation(prefix=command)
    log.warning("no pid namespaces here: programs are kept track of by a mark in their environment")
    _become_subreaper()
    digest = hashlib.sha256(os.fsencode(scratch)).hexdigest()[:16]
    return Isolation(family=f"{node}-{digest}")


def end_marked(mark: str) -> int:
    """SIGKILL each process that carries `mark`, or one of its family; return how many.

    Those it forks meanwhile are missed: call it again until it returns 0.
    """
    member = f"{mark}/"
    return _end(lambda value: value == mark or value.startswith(member))


def _namespace_command() -> tuple[str, ...]:
    # without root, a user namespace gives the right to make the others
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    unshare = ("unshare", *user, "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
    return ("setpriv", "--pdeathsig", "KILL", *unshare)


def _works(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            [*command, "true"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _become_subreaper() -> None:
    """Let orphans below us become our children, so that they are reaped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end(matches: Callable[[str], bool]) -> int:
    ended = 0
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):  # gone already, or not ours
                ended += _end_one(int(entry.name), matches)
    return ended


def _end_one(pid: int, matches: Callable[[str], bool]) -> bool:
    # the descriptor first: what is read and what is ended are then the same process
    pidfd = os.pidfd_open(pid)
    try:
        value = _mark_of(pid)
        if value is None or not matches(value):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return True


def _mark_of(pid: int) -> str | None:
    head = f"{MARK_VARIABLE}=".encode()
    for entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
        if entry.startswith(head):
            return entry.removeprefix(head).decode(errors="replace")
    return None
