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
from tests.deployment import ADMIN, Deployment
from tests.eventually import eventually
from tests.rabbit import MEMORY, BrokerNode

STREAMS, OPERATIONS, NODES = 10_000, 1_000, 200
#: Operations in a row, each on the output of the one before.
CHAIN = 10
_START_S, _HEARD_S = 300.0, 120.0
_SLOTS = 2 * OPERATIONS // NODES
_CAT = ProcessDefinition(name="cat", application="any", exec="cat", process_type="service")


@contextmanager
def crowded(node: BrokerNode) -> Iterator[Deployment]:
    """Run such a manager for the length of a block, with its agents; it is at rest."""
    with (
        tempfile.TemporaryDirectory(prefix="sb-bench-", dir=MEMORY) as folder,
        node.vhost() as settings,
        ExitStack() as ending,
    ):
        deployment = Deployment(settings, Path(folder))
        ending.callback(deployment.stop)
        _fill(f"sqlite:///{folder}/manager.db")
        deployment.manager.start()
        # it makes everything on the broker
        eventually(deployment.is_ready, within_s=_START_S, what="the manager is ready")
        ending.enter_context(_agents(deployment))
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


@contextmanager
def _agents(deployment: Deployment) -> Iterator[None]:
    """Add the nodes, and let them all speak, in a process of their own."""
    made = (deployment.client.add_node(f"n{number}", slots=_SLOTS) for number in range(NODES))
    file = deployment.folder / "agents"
    file.write_text("\n".join(json.dumps(each) for each in made))
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
