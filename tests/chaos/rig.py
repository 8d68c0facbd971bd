"""All parts of a deployment with a wire in between: up once, for many seeds."""

import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streams.archive import Record, read_segment, stream_prefix
from streams.settings import Settings
from tests.chaos.schedule import STAGES
from tests.chaos.wire import Address, Wire, wires
from tests.deployment import Deployment, Service
from tests.eventually import eventually
from tests.manager.databases import PostgresServer, create_database, running_postgres
from tests.rabbit import BrokerNode, running_node
from tests.s3 import S3Server, running_s3

#: A machine with much else to do is slow.
_READY_S = 90.0
NODES = ("n1", "n2")
#: So soon does an end of a line notice that the other has gone without a word.
_HEARTBEAT = "?heartbeat=2"
#: An operation's program may be killed again and again here, and nobody is to blame.
_RETRIES = 10


@dataclass(frozen=True, slots=True)
class Ground:
    """The servers that deployments stand on, one after the other."""

    node: BrokerNode
    s3: S3Server
    database: PostgresServer

    def wait_ready(self) -> None:
        """Wait until each is there, whatever befell it."""
        self.node.wait_ready()
        self.s3.wait_ready()
        self.database.wait_ready()


@contextmanager
def ground() -> Iterator[Ground]:
    """Run the servers for the length of a `with` block."""
    with running_node() as node, running_s3() as s3, running_postgres() as database:
        yield Ground(node, s3, database)


@dataclass
class Rig:
    """A broker, S3, a database, a manager with its archiver, two agents, and the wires."""

    ground: Ground
    wires: Mapping[str, Wire]
    deployment: Deployment
    bucket: str
    #: the id of each kind of stage's process definition
    definitions: dict[str, int] = field(default_factory=dict)

    @property
    def node(self) -> BrokerNode:
        """The broker."""
        return self.ground.node

    @property
    def s3(self) -> S3Server:
        """The S3 server."""
        return self.ground.s3

    @property
    def database(self) -> PostgresServer:
        """The manager's database."""
        return self.ground.database

    @property
    def vhost_url(self) -> str:
        """The broker's address without a wire in between."""
        return self.deployment.settings.need_amqp()[0]

    def url(self, wire: str) -> str:
        """Return the broker's address over a wire."""
        return _through(self.vhost_url, self.wires[wire])

    def queues(self) -> dict[str, int]:
        """Return how many messages each queue has."""
        with self.node.management(self.deployment.vhost) as management:
            return {q["name"]: int(q.get("messages", 0)) for q in management.queues()}

    def waiting(self, prefix: str) -> dict[str, int]:
        """Return the queues of a chain that aren't empty; known to the broker up to 5 s late."""
        return {name: n for name, n in self.queues().items() if n and prefix in name}

    def exchanges(self) -> list[str]:
        """Return the name of each exchange."""
        with self.node.management(self.deployment.vhost) as management:
            return management.exchange_names()

    def connections(self) -> Counter[str]:
        """Return the names of the clients that the broker knows, and how often each is there."""
        with self.node.management() as management:
            found = management._get("/connections?columns=client_properties")
            return Counter(
                str(item.get("client_properties", {}).get("connection_name", "?")) for item in found
            )

    def is_whole(self) -> bool:
        """Say whether the manager and all nodes are ready."""
        return self.deployment.is_ready() and len(_ready(self.deployment)) == len(NODES)

    def services(self) -> list[Service]:
        """Return what is killed and started again."""
        return [self.deployment.manager, *self.deployment.agents.values()]

    def archived(self, stream: str) -> list[Record]:
        """Return all that the archive of a stream holds, in order."""
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=stream_prefix(stream)
        )
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []))
        objects = (self.s3.client.get_object(Bucket=self.bucket, Key=key) for key in keys)
        return [
            record for made in objects for record in read_segment(io.BytesIO(made["Body"].read()))
        ]

    def register(self) -> None:
        """Register the definitions that the stages of all seeds use."""
        for kind, definition in STAGES.items():
            whole = {"name": kind, "application": "test", "retries": _RETRIES, **definition}
            self.definitions[kind] = self.deployment.client.register({"definition": whole})

    def show(self) -> None:
        """Print what everybody logged."""
        self.deployment.show()
        sys.stderr.write(f"--- broker\n{self.node.log()[-5000:]}\n")


@contextmanager
def rigged(on: Ground, folder: Path) -> Iterator[Rig]:
    """Have everything up for the length of a `with` block."""
    with (
        on.s3.bucket() as bucket,
        on.node.vhost() as settings,
        wires(**_servers(on)) as laid,
    ):
        url = settings.need_amqp()[0] + _HEARTBEAT
        environment = _environment(url, settings, on, laid) | {
            "STREAMBOSS_BUCKET": bucket,
            "TMPDIR": str(folder),
        }
        deployment = Deployment(replace(settings, amqp_urls=(url,)), folder, environment)
        rig = Rig(on, laid, deployment, bucket)
        try:
            deployment.start_manager()
            for name in NODES:
                deployment.add_agent(name, way=partial(_through, wire=laid[f"agent_{name}"]))
            rig.register()
            eventually(rig.is_whole, within_s=_READY_S, what="the nodes are ready")
            yield rig
        finally:
            deployment.stop()


def _servers(on: Ground) -> dict[str, Address]:
    amqp = ("127.0.0.1", on.node.node.ports.amqp)
    lines = ("manager", "publisher", "consumer", *(f"agent_{name}" for name in NODES))
    return {
        **dict.fromkeys(lines, amqp),
        "management": ("127.0.0.1", on.node.node.ports.management),
        "s3": ("127.0.0.1", on.s3.node.ports.s3),
        "database": on.database.socket,
    }


def _environment(
    url: str, settings: Settings, on: Ground, laid: Mapping[str, Wire]
) -> dict[str, str]:
    made = create_database(on.database.address).partition("?")[0]
    name, access = made.rpartition("/")[2], on.s3.access
    return {
        "STREAMBOSS_AMQP_URL": _through(url, laid["manager"]),
        "STREAMBOSS_BROKER_API_URL": _through(settings.need_broker_api(), laid["management"]),
        "STREAMBOSS_DATABASE_URL": (
            f"postgresql://streamboss@127.0.0.1:{laid['database'].port}/{name}"
        ),
        "AWS_ENDPOINT_URL_S3": _through(access.endpoint_url or "", laid["s3"]),
        "AWS_REGION": access.region or "",
        "AWS_ACCESS_KEY_ID": access.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
    }


def _through(url: str, wire: Wire) -> str:
    """Return an address that leads over a wire."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.replace(f":{_port(url)}", f":{wire.port}")).geturl()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _ready(deployment: Deployment) -> list[Any]:
    return [node for node in deployment.client.list("nodes") if node["state"] == "ready"]
