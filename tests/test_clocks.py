"""Nodes whose clocks are hours off: the manager goes by its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.deployment import deployed
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.traffic import PlainConsumer, Publisher

HOUR_S = 3600


def test_nodes_whose_clocks_are_hours_off_are_nodes_like_others(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    with deployed(broker_node, tmp_path) as deployment:
        # Given a node that is five hours ahead, and one that is five behind
        deployment.add_agent("ahead", clock_ahead_s=5 * HOUR_S)
        deployment.add_agent("behind", clock_ahead_s=-5 * HOUR_S)
        nodes = {"n1", "ahead", "behind"}
        eventually(
            lambda: {deployment.client.get("nodes", n)["state"] for n in nodes} == {"ready"},
            within_s=30,
            what="all are ready",
        )
        each = {"min": 3, "max": 3}
        deployment.operation("op", "a", "b", {"exec": "cat"}, instances=each, linger_s=0)
        urls = deployment.settings.need_amqp()
        with PlainConsumer(urls[0], "b") as consumer, Publisher(urls, "a") as publisher:
            # When all of them work
            deployment.until("running", "op")
            eventually(
                lambda: set(deployment.client.get("operations", "op")["nodes"]) == nodes,
                within_s=30,
                what="it runs on all three",
            )
            publisher.allowed = 20
            eventually(lambda: len(consumer.bodies()) == 20, within_s=30, what="all came out")
            # Then each was heard just now, by the manager's clock
            for name in nodes:
                node = deployment.client.get("nodes", name)
                heard = datetime.fromisoformat(node["last_seen"])
                assert node["state"] == "ready"
                assert abs(datetime.now(UTC) - heard) < timedelta(seconds=60)
