"""A gate: this computer's podman for one machine, on a socket that nobody else sees.

The folder of the socket is mounted into the machine when that is made. A keeper, a process of its
own, lets podman serve there as long as the machine runs.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from provision.drivers.local import keeper
from provision.drivers.local.engine import Engine, environment, runtime
from provision.errors import ProvisionError
from provision.waiting import wait_until

SOCKET = keeper.SOCKET
_OPEN_S = 30.0


def folder(gates: Path, machine_id: str) -> Path:
    """Make the folder of a machine's gate, for this user alone; return it."""
    path = (gates / machine_id).absolute()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def open_for(engine: Engine, machine_id: str, place: Path) -> None:
    """Let podman serve in `place` until the machine ends. Twice is once.

    Raises:
        ProvisionError: the machine doesn't run, or podman doesn't serve in time.
    """
    state = engine.run("inspect", "--format", "{{.State.Status}} {{.State.ConmonPid}}", machine_id)
    status, monitor = state.split()
    if status != "running":
        raise ProvisionError(f"{machine_id} is {status}: it can't launch machines")
    command = [sys.executable, "-I", keeper.__file__, str(place), monitor]
    with (place / "log").open("a") as log:
        subprocess.run(
            # it outlives us, and ends with the machine
            ["/usr/bin/setsid", "--fork", *command, *runtime()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            check=True,
        )
    wait_until(
        lambda: True if _answers(place) else None,
        what=f"podman serving {machine_id} (see {place / 'log'})",
        timeout_s=_OPEN_S,
        interval_s=0.1,
    )


def _answers(place: Path) -> bool:
    # by descriptor, however long the folder's name is: a socket's path has 107 bytes at most
    folder = os.open(place, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as look:
        try:
            look.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        except OSError:
            return False
        finally:
            os.close(folder)
    return True
