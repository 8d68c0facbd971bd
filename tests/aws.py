"""S3 and EC2 as AWS speaks them: a moto server of our own, in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import create_connection
from typing import Any
from urllib.request import Request, urlopen

import boto3

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


def emptied_ec2(port: int) -> Any:
    """Return a moto server's EC2 as boto3 sees it, without anything in it."""
    urlopen(Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST"), timeout=READY_S)
    return boto3.client(
        "ec2",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"moto's server did not start: exit status {process.poll()}")
