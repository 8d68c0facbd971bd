"""A real RabbitMQ node of our own, on free ports, that may be killed and started again."""

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from manager import certificates
from streams import tls
from streams.management import Management
from streams.settings import Settings
from tools.stack import rabbitmq
from tools.stack.ports import free_ports

READY_S = 180
#: A tmpfs spares the machine's disk the broker's fsyncs.
_SHM = Path("/dev/shm")
MEMORY = _SHM if _SHM.is_dir() else None
#: RabbitMQ notes on disk after half a second which quorum queues there are (Ra's directory).
_NOTED_S = 1.0


@dataclass
class BrokerNode:
    """A running node."""

    node: rabbitmq.Node
    process: subprocess.Popen[bytes]
    #: where it speaks TLS, with the certificate of 127.0.0.1 in this folder
    tls_port: int
    tls_folder: Path

    def note_queues(self) -> None:
        """Give the node the time after which it still has its new queues when it was killed."""
        time.sleep(_NOTED_S)

    def kill(self) -> None:
        """End the node as a power cut would; new queues go with it, see `note_queues`."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the node in good order."""
        self.process.terminate()
        self.process.wait(READY_S)

    def start(self) -> None:
        """Start the node again on its data and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the node again on its data."""
        self.process = launched(self.node)

    def by_tls(self, settings: Settings) -> Settings:
        """Return the same settings, with the broker reached by TLS and its CA trusted."""
        ca_file = self.tls_folder / certificates.CA
        urls = (
            url.replace("amqp:", "amqps:").replace(
                f":{self.node.ports.amqp}/", f":{self.tls_port}/"
            )
            for url in settings.need_amqp()
        )
        trusting = tuple(tls.with_ca(url, ca_file) for url in urls)
        return replace(settings, amqp_urls=trusting, ca_file=ca_file)

    def log(self) -> str:
        """Return the end of what the node said."""
        return (self.node.folder / "console.log").read_text(errors="replace")[-30_000:]

    def management(self, vhost: str = "/") -> Management:
        """Return the node's management API, seen from `vhost`."""
        return Management(
            self.node.api_url, user=self.node.user, password=self.node.password, vhost=vhost
        )

    def wait_ready(self) -> None:
        """Wait until the node serves; raise with the end of its log if it doesn't."""
        with self.management() as management:
            deadline = time.monotonic() + READY_S
            while not (management.alive() and self._listens()):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"RabbitMQ did not start:\n{self.log()[-3000:]}")
                time.sleep(0.1)

    def _listens(self) -> bool:
        """Say whether clients can connect: the management API answers sooner than that."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.node.ports.amqp)):
            return True
        return False

    @contextmanager
    def vhost(self) -> Iterator[Settings]:
        """Give settings for a fresh vhost, gone at the end of the block."""
        name = f"test-{secrets.token_hex(6)}"
        with self.management() as management:
            management.put_vhost(name)
            yield replace(
                Settings(broker_api_url=self.node.api_url),
                amqp_urls=(self.node.amqp_url.removesuffix("%2F") + quote(name, safe=""),),
            )
            management.delete_vhost(name)


def launched(node: rabbitmq.Node) -> subprocess.Popen[bytes]:
    """Start a node, which then gets ready."""
    with (node.folder / "console.log").open("ab") as log:
        return subprocess.Popen(
            node.command(), env=node.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _add_tls(node: rabbitmq.Node, port: int) -> None:
    folder = node.folder / "tls"
    lines = (
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {folder / certificates.CA}",
        f"ssl_options.certfile = {folder / certificates.CERTIFICATE}",
        f"ssl_options.keyfile = {folder / certificates.KEY}",
        "ssl_options.verify = verify_none",
    )
    with (node.folder / "rabbitmq.conf").open("a") as file:
        file.write("\n".join((*lines, "")))


@contextmanager
def running_node() -> Iterator[BrokerNode]:
    """Run a node for the length of a `with` block."""
    if not rabbitmq.SERVER.exists():
        raise RuntimeError("RabbitMQ is not installed: 'make setup' installs it")
    folder = Path(tempfile.mkdtemp(prefix="sb-rabbit-", dir=MEMORY))
    *ports, tls_port = free_ports(6)
    node = rabbitmq.Node(folder, rabbitmq.Ports(*ports), "test", secrets.token_hex(8))
    node.write_files()
    certificates.ensure(folder / "tls", ["127.0.0.1"])
    _add_tls(node, tls_port)
    epmd = subprocess.Popen(node.epmd_command(), env={"PATH": "/usr/bin"})
    running = BrokerNode(node, launched(node), tls_port, folder / "tls")
    try:
        running.wait_ready()
        yield running
    finally:
        running.kill()
        epmd.kill()
        epmd.wait()
        shutil.rmtree(folder, ignore_errors=True)
