"""A real S3 server of our own, on free ports, that may be killed and started again."""

import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import boto3
from botocore.config import Config
from types_boto3_s3 import S3Client

from manager import certificates
from streams.access import S3Access
from tools.stack import seaweedfs
from tools.stack.ports import free_ports

READY_S = 180
REGION = "us-east-1"
TLS = "tls"
_SHM = Path("/dev/shm")


@dataclass
class S3Server:
    """A running server. `client` speaks to it past our own code."""

    node: seaweedfs.Node
    process: subprocess.Popen[bytes]
    tls_port: int
    client: S3Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = client_of(self.access)

    @property
    def access(self) -> S3Access:
        """How our code reaches it, with all rights."""
        return S3Access(
            endpoint_url=self.node.endpoint_url,
            region=REGION,
            access_key_id=self.node.access_key_id,
            secret_access_key=self.node.secret_access_key,
        )

    @property
    def by_tls(self) -> S3Access:
        """The same by TLS: its CA is nobody else's."""
        url = f"https://127.0.0.1:{self.tls_port}"
        return replace(
            self.access, endpoint_url=url, ca_file=str(self.node.folder / TLS / certificates.CA)
        )

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start the server again on its data and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the server again on its data."""
        self.process = _start(self.node, self.tls_port)

    def log(self) -> str:
        """Return the end of what the server said."""
        return (self.node.folder / "console.log").read_text(errors="replace")[-30_000:]

    def wait_ready(self) -> None:
        """Wait until the server serves; raise with the end of its log if it doesn't."""
        deadline = time.monotonic() + READY_S
        while not self.node.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)

    @property
    def guest(self) -> S3Access:
        """A login that may read, and nothing else."""
        return replace(self.access, access_key_id="guest", secret_access_key="guests-secret")

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """Give a fresh bucket, gone with all that is in it at the end of the block."""
        name = f"test-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        yield name
        self.client.delete_bucket(Bucket=name)  # this server asks not for an empty one

    def unfinished(self, bucket: str) -> list[str]:
        """Return the keys of multipart uploads that were neither completed nor aborted."""
        listed = self.client.list_multipart_uploads(Bucket=bucket)
        return [upload["Key"] for upload in listed.get("Uploads", [])]


def client_of(access: S3Access) -> S3Client:
    """Return boto3's own client, without retries."""
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30),
    )


def _start(node: seaweedfs.Node, tls_port: int) -> subprocess.Popen[bytes]:
    with (node.folder / "console.log").open("ab") as log:
        return subprocess.Popen(
            [
                *node.command(),
                f"-s3.port.https={tls_port}",
                f"-s3.cert.file={TLS}/{certificates.CERTIFICATE}",
                f"-s3.key.file={TLS}/{certificates.KEY}",
            ],
            cwd=node.folder,
            env=node.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _admit_guests(node: seaweedfs.Node) -> None:
    file = node.folder / "s3.json"
    known = json.loads(file.read_text())
    keys = {"accessKey": "guest", "secretKey": "guests-secret"}
    guest = {"name": "guest", "credentials": [keys], "actions": ["Read", "List"]}
    file.write_text(json.dumps({"identities": [*known["identities"], guest]}))


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """Run a server for the length of a `with` block."""
    if not seaweedfs.SERVER.exists():
        raise RuntimeError("the S3 server is not installed: 'make setup' installs it")
    folder = Path(tempfile.mkdtemp(prefix="sb-s3-", dir=_SHM if _SHM.is_dir() else None))
    *ports, tls_port = free_ports(9)
    node = seaweedfs.Node(
        folder, seaweedfs.Ports(*ports), secrets.token_hex(8), secrets.token_hex(16)
    )
    node.write_files()
    _admit_guests(node)
    certificates.ensure(folder / TLS, ["127.0.0.1"])
    server = S3Server(node, _start(node, tls_port), tls_port)
    try:
        server.wait_ready()
        yield server
    finally:
        server.client.close()
        server.kill()
        node.forget_sockets()
        shutil.rmtree(folder, ignore_errors=True)
