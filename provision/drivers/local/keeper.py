"""The keeper of a gate, a program: podman serves a machine until that ends.

Arguments: the gate's folder, the process id of the machine's monitor, podman's options. Imports
nothing of ours: it lives as long as the machine, in little memory.
"""

import fcntl
import os
import select
import subprocess
import sys
import time
from pathlib import Path

SOCKET = "podman.sock"
_LOOK_S = 1.0


def main(folder: str, monitor: str, *options: str) -> None:
    """Keep a gate, unless somebody does already."""
    os.chdir(folder)
    # however long the folder's name is: a socket's path has 107 bytes at most
    where = f"unix:///proc/self/cwd/{SOCKET}"
    # podman dies with us
    tied = ["setpriv", "--pdeathsig", "KILL"]
    command = [*tied, "podman", *options, "system", "service", "--time=0", where]
    machine = os.pidfd_open(int(monitor))
    with Path("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        while not _ended(machine):
            Path(SOCKET).unlink(missing_ok=True)
            with subprocess.Popen(command) as service:
                while service.poll() is None and not _ended(machine, _LOOK_S):
                    pass
                service.kill()  # what it has launched lives on
            time.sleep(_LOOK_S)
        Path(SOCKET).unlink(missing_ok=True)


def _ended(process: int, within_s: float = 0) -> bool:
    """Say whether a process, by its descriptor, has ended."""
    return bool(select.select([process], [], [], within_s)[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
