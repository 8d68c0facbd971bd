"""S3 as AWS speaks it: a moto server of our own, in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import create_connection

from streams.access import S3Access
from tools.stack.ports import free_ports

READY_S = 30


@contextmanager
def running_moto() -> Iterator[S3Access]:
    """Run moto's server for the length of a `with` block. It takes any login."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_ready(process, port)
        yield S3Access(f"http://127.0.0.1:{port}", "us-east-1", "key", "secret")
    finally:
        process.kill()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"moto's server did not start: exit status {process.poll()}")
