"""A manager with much to look after: 10,000 streams, 1,000 operations, 200 nodes.

The nodes' agents are played (peers/agents.py): their lines, users and heartbeats are real.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, insert

from manager.model import Operation
from manager.store import Store
from manager.store.tables import StreamRow
from streams.definition import ProcessDefinition
from streams.settings import Settings
from tests.deployment import ADMIN, Deployment
from tests.eventually import eventually
from tests.rabbit import MEMORY, running_node

STREAMS, OPERATIONS, NODES = 10_000, 1_000, 200
_VHOST = "crowd"
#: Operations in a row, each on the output of the one before.
CHAIN = 10
_START_S, _HEARD_S = 300.0, 120.0
_SLOTS = 2 * OPERATIONS // NODES
_CAT = ProcessDefinition(name="cat", application="any", exec="cat", process_type="service")


@contextmanager
def crowded() -> Iterator[Deployment]:
    """Run such a manager for the length of a block, with its agents; it is at rest.

    Its broker is its own, and killed: to delete as much takes longer than a request may.
    """
    with (
        tempfile.TemporaryDirectory(prefix="sb-bench-", dir=MEMORY) as folder,
        running_node() as broker,
        ExitStack() as ending,
    ):
        with broker.management() as management:
            management.put_vhost(_VHOST)
        url = broker.node.amqp_url.removesuffix("%2F") + _VHOST
        settings = Settings(amqp_urls=(url,), broker_api_url=broker.node.api_url)
        deployment = Deployment(settings, Path(folder))
        ending.callback(deployment.stop)
        configs = _nodes(deployment)
        _fill(f"sqlite:///{folder}/manager.db")
        deployment.manager.start()
        # it makes everything on the broker
        eventually(deployment.is_ready, within_s=_START_S, what="the manager is ready")
        ending.enter_context(_agents(deployment, configs))
        yield deployment


def output(chain: int) -> str:
    """Return the stream at the end of a chain."""
    return f"s{chain * (CHAIN + 1) + CHAIN}"


def last(chain: int) -> str:
    """Return the operation at the end of a chain."""
    return f"o{chain * CHAIN + CHAIN - 1}"


def _fill(database_url: str) -> None:
    """Keep everything in the store; the manager makes it on the broker when it starts."""
    store = Store(database_url)
    number = store.create_definition(ADMIN[0], _CAT).id
    engine = create_engine(database_url)
    with engine.begin() as connection:
        streams = [{"name": f"s{number}", "owner": ADMIN[0]} for number in range(STREAMS)]
        connection.execute(insert(StreamRow), streams)
    engine.dispose()
    for operation in range(OPERATIONS):
        chain, place = divmod(operation, CHAIN)
        first = chain * (CHAIN + 1) + place
        ends = f"s{first}", f"s{first + 1}"
        made = Operation(f"o{operation}", ADMIN[0], number, _CAT, *ends, linger_s=1.0)
        with store.created_operation(made):
            pass
    store.close()


def _nodes(deployment: Deployment) -> Path:
    """Add the nodes while there's nothing else; return a file with their configurations."""
    deployment.start_manager()
    made = [deployment.client.add_node(f"n{number}", slots=_SLOTS) for number in range(NODES)]
    deployment.manager.kill_alone()
    file = deployment.folder / "agents"
    file.write_text("\n".join(json.dumps(each) for each in made))
    return file


@contextmanager
def _agents(deployment: Deployment, file: Path) -> Iterator[None]:
    """Let all nodes speak, in a process of their own."""
    command = [sys.executable, "-m", "bench.peers.agents", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(
                lambda: _ready(deployment) == NODES, within_s=_HEARD_S, what="all nodes are heard"
            )
            yield
        finally:
            process.kill()


def _ready(deployment: Deployment) -> int:
    nodes = deployment.client.list("nodes")
    return sum(node["state"] == "ready" for node in nodes)
