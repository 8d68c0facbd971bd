"""A cluster's nodes die, part and are restarted: tools, agents and manager go on by themselves."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.names import operation_queue
from tests.cluster import Cluster, running_cluster
from tests.deployment import Deployment
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.traffic import Collector, Publisher, body

#: Promised are 30; a machine with much else to do is slow.
_WITHIN_S = 120
_LOAD = 500
CAT: dict[str, Any] = {"exec": "cat", "process_type": "service", "replies": "one", "retries": 10}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes."""
    with running_cluster() as made:
        yield made


class _Load:
    """An operation with a publisher before it, and a consumer behind it."""

    def __init__(self, deployment: Deployment, publisher: Publisher, collector: Collector) -> None:
        self._deployment, self._publisher, self._collector = deployment, publisher, collector

    @property
    def vhost(self) -> str:
        """Where it is."""
        return self._deployment.vhost

    def passes(self, what: str, deed: Callable[[], None] = lambda: None) -> None:
        """Publish, have something happen meanwhile, and see everything come out soon after."""
        self._publisher.allowed += _LOAD
        deed()
        self._publisher.allowed += _LOAD
        began_s = time.monotonic()
        eventually(
            lambda: self._collector.different >= self._publisher.allowed,
            within_s=_WITHIN_S,
            what=f"all comes out after: {what}",
        )
        print(f"{what}: {time.monotonic() - began_s:.1f} s")  # noqa: T201 - for the curious

    def see(self) -> None:
        """See that nothing is lost, nothing dead, and the manager at its work."""
        wanted = {body(number) for number in range(self._publisher.allowed)}
        assert set(self._collector.bodies) == wanted
        assert self._deployment.client.dead_letters("op") == []
        eventually(self._deployment.is_ready, within_s=_WITHIN_S, what="the manager is ready")
        self._deployment.until("running", "op", within_s=_WITHIN_S)


@contextmanager
def _loaded(cluster: Cluster, folder: Path) -> Iterator[_Load]:
    with cluster.vhost() as settings:
        deployment = Deployment(settings, folder)
        urls = settings.need_amqp()
        try:
            deployment.start_manager()
            deployment.add_agent()
            deployment.operation("op", "in", "out", CAT)
            with (
                Collector(urls, "out", "everything") as collector,
                Publisher(urls, "in") as publisher,
            ):
                deployment.until("running", "op", within_s=_WITHIN_S)
                cluster.nodes[0].note_queues()
                load = _Load(deployment, publisher, collector)
                load.passes("nothing")
                yield load
        except BaseException:
            deployment.show()
            for node in cluster.nodes:
                sys.stderr.write(f"--- {node.node.name}\n{node.log()[-5000:]}\n")
            raise
        finally:
            deployment.stop()


def test_the_leaders_node_is_killed_under_load_and_all_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    with _loaded(cluster, tmp_path) as load:
        leader = cluster.leader(load.vhost, operation_queue("op"))
        try:
            load.passes(f"{leader.node.name} killed", leader.kill)
            load.see()
        finally:
            leader.start()
            cluster.until_whole()


def test_a_rolling_restart_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    with _loaded(cluster, tmp_path) as load:
        for node in cluster.nodes:
            load.passes(f"{node.node.name} stopped", node.stop)
            node.start()
            cluster.until_whole()
            load.passes(f"{node.node.name} back")
        load.see()


def test_a_node_that_is_parted_from_the_others_loses_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    with _loaded(cluster, tmp_path) as load:
        # the node to which everybody is connected
        apart: BrokerNode = cluster.nodes[0]
        with cluster.parted(apart):
            load.passes(f"{apart.node.name} parted")
        cluster.until_whole()
        load.passes("whole again")
        load.see()
