"""Order across machines: an operation with one instance moves, and keeps it."""

from pathlib import Path

import pytest

from tests.deployment import Deployment, deployed
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.traffic import PlainConsumer, Publisher, body

COUNT = 300
#: So many are through when it has to move: the first agent holds some more then.
BEGUN = 20


@pytest.mark.parametrize(
    "definition",
    [
        {"exec": "sleep 0.01; cat", "concurrency": 4},
        pytest.param(
            {"exec": "while read l; do sleep 0.01; echo $l; done", "process_type": "service"},
            marks=pytest.mark.long,
        ),
    ],
    ids=["single", "service"],
)
def test_order_is_kept_when_an_operation_moves_to_another_machine(
    broker_node: BrokerNode, tmp_path: Path, definition: dict[str, object]
) -> None:
    with deployed(broker_node, tmp_path) as deployment:
        deployment.operation("op", "a", "b", definition, linger_s=0)
        urls = deployment.settings.need_amqp()
        with PlainConsumer(urls[0], "b") as consumer, Publisher(urls, "a") as publisher:
            deployment.until("running", "op")
            deployment.add_agent("n2")
            publisher.allowed = COUNT
            eventually(lambda: len(consumer.bodies()) >= BEGUN, within_s=30, what="it works")
            # When the agent is told to end while it holds messages
            deployment.agents["n1"].end()
            eventually(lambda: _nodes(deployment) == ["n2"], within_s=60, what="it has moved")
            # Then all came, each once, and in order
            eventually(lambda: len(consumer.bodies()) >= COUNT, within_s=60, what="all came")
            assert consumer.bodies() == [body(number) for number in range(COUNT)]


def _nodes(deployment: Deployment) -> list[str]:
    return list(deployment.client.get("operations", "op")["nodes"])
