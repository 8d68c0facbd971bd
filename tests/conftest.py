"""Real parts for the tests: one RabbitMQ node a run, one vhost a test."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from streams.broker import Session
from streams.management import Management
from streams.settings import Settings
from tools.stack import rabbitmq
from tools.stack.ports import free_ports

BROKER_READY_S = 60


#: Where the tests' broker keeps its data; a tmpfs spares the disk its fsyncs.
_SHM = Path("/dev/shm")


@pytest.fixture(autouse=True)
def _nothing_of_the_desk_leaks_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No setting, home or unbuffering of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("STREAMBOSS_", "AWS_")) or name == "PYTHONUNBUFFERED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@dataclass
class BrokerNode:
    """A running RabbitMQ node that a test may kill and start again."""

    node: rabbitmq.Node
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the node as a power cut would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start the node again on its data and wait until it is ready."""
        self.process = _start(self.node)
        self.wait_ready()

    def management(self, vhost: str = "/") -> Management:
        return Management(
            self.node.api_url, user=self.node.user, password=self.node.password, vhost=vhost
        )

    def wait_ready(self) -> None:
        with self.management() as management:
            deadline = time.monotonic() + BROKER_READY_S
            while not management.alive():
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.node.folder / "console.log").read_text()[-3000:]
                    pytest.fail(f"RabbitMQ did not start:\n{log}")
                time.sleep(0.1)


def _start(node: rabbitmq.Node) -> subprocess.Popen[bytes]:
    with (node.folder / "console.log").open("ab") as log:
        return subprocess.Popen(
            node.command(), env=node.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


@pytest.fixture(scope="session")
def broker_node() -> Iterator[BrokerNode]:
    """The run's one RabbitMQ node. Fails, never skips, where RabbitMQ isn't installed."""
    if not rabbitmq.SERVER.exists():
        pytest.fail("RabbitMQ is not installed: 'make setup' installs it")
    folder = Path(tempfile.mkdtemp(prefix="sb-rabbit-", dir=_SHM if _SHM.is_dir() else None))
    node = rabbitmq.Node(folder, rabbitmq.Ports(*free_ports(5)), "test", secrets.token_hex(8))
    node.write_files()
    epmd = subprocess.Popen(node.epmd_command(), env={"PATH": "/usr/bin"})
    running = BrokerNode(node, _start(node))
    try:
        running.wait_ready()
        yield running
    finally:
        running.kill()
        epmd.kill()
        epmd.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(broker_node: BrokerNode) -> Iterator[Settings]:
    """Settings for a vhost of the test's own, gone with the test."""
    vhost = f"test-{secrets.token_hex(6)}"
    with broker_node.management() as management:
        management.put_vhost(vhost)
        yield Settings(
            amqp_urls=(broker_node.node.amqp_url + quote(vhost, safe=""),),
            broker_api_url=broker_node.node.api_url,
        )
        management.delete_vhost(vhost)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """A blocking session on the test's own vhost."""
    with Session(settings.need_amqp(), name="test") as opened:
        yield opened
