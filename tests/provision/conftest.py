"""Real parts for the tests of clouds: a moto server process, strict, behind a front."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provision.cloud import Cloud
from provision.journal import Journal
from tests.aws import emptied_ec2
from tests.eventually import eventually
from tests.provision.front import Front
from tests.provision.machinery import ec2_cloud

STRICT = {
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "1",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "1",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """A moto server, of this run alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **STRICT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(partial(_answers, port), within_s=60, what="moto answers")
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def moto(moto_port: int) -> Any:
    """An EC2 without anything in it but the image `debian-12-base`, as boto3 sees it."""
    client = emptied_ec2(moto_port)
    client.register_image(
        Name="debian-12-base",
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        VirtualizationType="hvm",
    )
    return client


@pytest.fixture
def front(moto: Any, moto_port: int) -> Iterator[tuple[Front, int]]:
    """The front, and its port."""
    proxy = Front(("127.0.0.1", moto_port))
    port = proxy.start()
    yield proxy, port
    proxy.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal of the test's own."""
    with Journal(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def cloud(front: tuple[Front, int], journal: Journal) -> Cloud:
    """The cloud behind the front."""
    return ec2_cloud(front[1], journal)


@pytest.fixture
def machines_there(moto: Any) -> Callable[[], dict[str, dict[str, str]]]:
    """Return what really runs, by id with its tags, asked past our own code."""

    def look() -> dict[str, dict[str, str]]:
        found = moto.describe_instances()["Reservations"]
        return {
            machine["InstanceId"]: {t["Key"]: t["Value"] for t in machine.get("Tags", [])}
            for reservation in found
            for machine in reservation["Instances"]
            if machine["State"]["Name"] not in ("terminated", "shutting-down")
        }

    return look


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
