"""Three RabbitMQ nodes on one machine: killed one by one, parted, under alarm."""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from streams.settings import Settings
from tests.eventually import eventually
from tests.rabbit import BrokerNode, launched
from tools.stack import rabbitmq
from tools.stack.ports import free_ports

_SHM = Path("/dev/shm")
_CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_WITHIN_S = 120
#: A node that sees only a minority pauses and lets its clients go: what docs/operating.md advises.
_CONFIGURATION = """
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {0}
cluster_formation.classic_config.nodes.2 = {1}
cluster_formation.classic_config.nodes.3 = {2}
"""
#: A silent node counts as gone after so many seconds.
_TICK_S = 4
_SIZE = 3


@dataclass
class Cluster:
    """Running nodes, in the order of their addresses."""

    nodes: list[BrokerNode]

    @contextmanager
    def vhost(self) -> Iterator[Settings]:
        """Give settings with all addresses for a fresh vhost, gone at the end of the block."""
        with self.nodes[0].vhost() as settings:
            path = settings.need_amqp()[0].rpartition("/")[2]
            yield replace(
                settings,
                amqp_urls=tuple(n.node.amqp_url.removesuffix("%2F") + path for n in self.nodes),
                broker_api_url=",".join(n.node.api_url for n in self.nodes),
            )

    def leader(self, vhost: str, queue: str) -> BrokerNode:
        """Return the node on which a quorum queue's leader is."""
        with self.nodes[0].management() as management:
            found = management._get(f"/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}")
        (leader,) = [node for node in self.nodes if node.node.name == found["leader"]]
        return leader

    def others(self, node: BrokerNode) -> list[BrokerNode]:
        """Return all nodes but one."""
        return [other for other in self.nodes if other is not node]

    @contextmanager
    def parted(self, node: BrokerNode) -> Iterator[None]:
        """Let a node and the others not hear one another for the length of a `with` block."""
        pairs = [(node, other) for other in self.others(node)]
        for one, other in pairs:
            # who shows another cookie isn't let in
            _evaluate(one, f"erlang:set_cookie('{other.node.name}', parted)")
            _evaluate(other, f"erlang:set_cookie('{node.node.name}', apart)")
            _evaluate(one, f"erlang:disconnect_node('{other.node.name}')")
        yield
        for one, other in pairs:
            _evaluate(one, f"erlang:set_cookie('{other.node.name}', erlang:get_cookie())")
            _evaluate(other, f"erlang:set_cookie('{node.node.name}', erlang:get_cookie())")
            _evaluate(one, f"net_kernel:connect_node('{other.node.name}')")

    def until_whole(self) -> None:
        """Wait until all nodes serve, and see one another."""
        for node in self.nodes:
            node.wait_ready()
            eventually(partial(_sees_all, node), within_s=_WITHIN_S, what="a cluster")


def control(node: BrokerNode, *words: str) -> str:
    """Run `rabbitmqctl` on a node and return what it printed."""
    done = subprocess.run(
        [_CTL, "--quiet", *words],
        env=node.node.environment(),
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"rabbitmqctl {words}: {done.stdout} {done.stderr}")
    return done.stdout


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run three nodes for the length of a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="sb-rabbits-", dir=_SHM if _SHM.is_dir() else None))
    names = [f"sb{number}@localhost" for number in range(_SIZE)]
    cookie, password, epmd_port = secrets.token_hex(16), secrets.token_hex(8), free_ports(1)[0]
    made = []
    for name in names:
        amqp, management, distribution, prometheus = free_ports(4)
        ports = rabbitmq.Ports(amqp, management, distribution, epmd_port, prometheus)
        node = rabbitmq.Node(folder / name.partition("@")[0], ports, "test", password, name)
        node.folder.mkdir()
        (node.folder / ".erlang.cookie").write_text(cookie)
        (node.folder / ".erlang.cookie").chmod(0o400)
        node.write_files()
        with (node.folder / "rabbitmq.conf").open("a") as file:
            file.write(_CONFIGURATION.format(*names))
        (node.folder / "advanced.config").write_text(
            "[{rabbit, [{consumer_timeout, undefined}]},"
            f" {{kernel, [{{net_ticktime, {_TICK_S}}}]}}].\n"
        )
        made.append(node)
    epmd = subprocess.Popen(made[0].epmd_command(), env={"PATH": "/usr/bin"})
    running: list[BrokerNode] = []
    try:
        first, *others = made
        # the others join the first, which needn't ask who else begins
        running.append(_broker(first))
        running[0].wait_ready()
        running += [_broker(node) for node in others]
        cluster = Cluster(running)
        cluster.until_whole()
        # the first vhost of a new cluster may take longer than an HTTP request
        control(running[0], "add_vhost", "first")
        yield cluster
    finally:
        for one in running:
            one.kill()
        epmd.kill()
        epmd.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _broker(node: rabbitmq.Node) -> BrokerNode:
    return BrokerNode(node, launched(node), tls_port=0, tls_folder=node.folder)


def _sees_all(node: BrokerNode) -> bool:
    with node.management() as management:
        return sum(bool(item.get("running")) for item in management._get("/nodes")) == _SIZE


def _evaluate(node: BrokerNode, expression: str) -> None:
    control(node, "eval", f"{expression}.")
