"""The manager's part, played by a test; and an agent in a process of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from manager import permissions
from manager.model import Operation
from streams import names
from streams.broker import Channel, Session, topology
from streams.control import (
    FROM_NODES,
    Assigned,
    Assignment,
    Heartbeat,
    LogLines,
    OperatorReport,
    OperatorState,
    assignment_key,
    decode,
    encode,
)
from streams.definition import ProcessDefinition
from streams.management import Management
from streams.message import Message
from streams.settings import Settings, vhost_of
from tests.eventually import eventually
from tests.processes import descendants, is_operator, started_at

ROOT = Path(__file__).parents[3]
NODE = "n1"
_AGENT = """
import sys; from pathlib import Path; from agent.node import run
ways = {"yes": True, "no": False}[sys.argv[2]]
sys.exit(run(Path(sys.argv[1]), run_as=sys.argv[3] or None, namespaces=ways))
"""


def definition(exec_: str, **more: Any) -> ProcessDefinition:
    return ProcessDefinition.model_validate(
        {"name": "Test", "application": "any", "exec": exec_, **more}
    )


UPPER = definition("tr a-z A-Z")


def assigned(operation: str = "op", revision: int = 1, **more: Any) -> Assigned:
    return Assigned.model_validate(
        {
            "operation": operation,
            "revision": revision,
            "definition": UPPER,
            "input_stream": "a",
            "output_stream": "b",
            "drain_s": 10.0,
            **more,
        }
    )


class Manager:
    """Hears heartbeats, sends assignments, and looks at what comes out."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.vhost = vhost_of(settings.need_amqp()[0])
        self.user = f"node-{NODE}-{secrets.token_hex(4)}"
        self.password = secrets.token_hex(8)
        self.session = Session(settings.need_amqp(), name="test manager", patience_s=30)
        self.heartbeats: list[Heartbeat] = []
        self.logs: list[LogLines] = []
        self.session.call(topology.declare_control)
        self.create_operation("op", "a", "b")
        self.output = self.session.call(lambda c: topology.declare_subscription(c, "b", "test"))
        self.session.call(self._listen)
        self.session.on_channel = self._listen
        self.allow({"op": "b"})

    def close(self) -> None:
        self.session.close()
        with self.management() as management:
            management.delete_user(self.user)

    def management(self) -> Management:
        url = self.settings.need_amqp()[0]
        parts = urlsplit(url)
        return Management(
            self.settings.need_broker_api(),
            user=parts.username or "",
            password=parts.password or "",
            vhost=self.vhost,
        )

    def allow(self, outputs: Mapping[str, str]) -> None:
        """Give the node's broker user the rights that the manager gives, and no more.

        `outputs` holds the output stream of each operation.
        """
        operations = [
            Operation(name, "test", 1, UPPER, "a", output) for name, output in outputs.items()
        ]
        with self.management() as management:
            management.put_user(self.user, self.password)
            management.put_permissions(self.user, **permissions.node_rights(NODE, operations))
            management.put_topic_permissions(
                self.user, names.CONTROL_EXCHANGE, **permissions.topic_rights(NODE)
            )

    @property
    def node_url(self) -> str:
        parts = urlsplit(self.settings.need_amqp()[0])
        where = f"{parts.hostname}:{parts.port}{parts.path}"
        return f"amqp://{quote(self.user)}:{self.password}@{where}"

    def _listen(self, channel: Channel) -> None:
        """Declare the queue on which nodes are heard; again on each new channel."""
        self.queue = names.manager_queue()
        channel.queue_declare(self.queue, exclusive=True)
        channel.queue_bind(self.queue, names.CONTROL_EXCHANGE, FROM_NODES)

    def create_operation(self, name: str, source: str, target: str) -> None:
        self.session.call(lambda c: topology.declare_stream(c, source))
        self.session.call(lambda c: topology.declare_stream(c, target))
        self.session.call(lambda c: topology.declare_operation(c, name))
        self.session.call(lambda c: topology.bind_operation(c, name, source))

    def publish(self, *texts: str) -> None:
        for text in texts:
            self.session.publish(
                names.exchange("a"), Message(text.encode(), content_type="text/plain")
            )

    def outputs(self, count: int) -> list[str]:
        """Wait for so many messages on the output stream."""
        seen: list[str] = []

        def enough() -> bool:
            while body := self._get(lambda: self.output):
                seen.append(body.decode())
            return len(seen) >= count

        eventually(enough, within_s=40, what=f"{count} outputs")
        return seen

    def heard(self, within_s: float = 20) -> Heartbeat:
        """Wait for the next heartbeat; `logs` gathers the other messages meanwhile."""
        known = len(self.heartbeats)
        eventually(lambda: self.hear() > known, within_s=within_s, what="a heartbeat")
        return self.heartbeats[-1]

    def hear(self) -> int:
        """Read what came; return how many heartbeats there were in all."""
        while body := self._get(lambda: self.queue):
            kind = json.loads(body)
            if "lines" in kind:
                self.logs.append(decode(LogLines, body))
            else:
                self.heartbeats.append(decode(Heartbeat, body))
        return len(self.heartbeats)

    def _get(self, queue: Callable[[], str]) -> bytes | None:
        # asked late: a new channel has a new queue
        _, _, body = self.session.call(lambda c: c.basic_get(queue(), auto_ack=True))
        return body

    def assign(self, *operations: Assigned, term: int = 1, **fields: Any) -> None:
        """Send an assignment to the incarnation last heard; `fields` overrides raw JSON."""
        assignment = Assignment(
            term=term,
            node=NODE,
            incarnation=self.heartbeats[-1].incarnation,
            operations=operations,
        )
        body = json.dumps({**json.loads(encode(assignment)), **fields}).encode()
        self.session.publish(
            names.CONTROL_EXCHANGE, Message(body), routing_key=assignment_key(NODE)
        )

    def until(
        self, state: OperatorState, operation: str = "op", revision: int = 1, **more: Any
    ) -> OperatorReport:
        """Wait until a heartbeat says that the operation is in `state`; return its report."""

        def found() -> OperatorReport | None:
            self.hear()
            for report in self.heartbeats[-1].operators if self.heartbeats else ():
                if (report.operation, report.revision, report.state) == (
                    operation,
                    revision,
                    state,
                ):
                    wanted = all(getattr(report, name) == value for name, value in more.items())
                    return report if wanted else None
            return None

        what = f"{operation}, revision {revision}, is {state}; heard {self.heartbeats[-1:]}"
        report = eventually(found, within_s=40, what=what)
        assert report is not None
        return report

    def until_gone(self) -> None:
        """Wait until a heartbeat lists no operator."""

        def gone() -> bool:
            self.hear()
            return not self.heartbeats[-1].operators

        eventually(gone, within_s=40, what="no operator is listed")


@dataclass
class RunningAgent:
    """An agent's process, and everything below it."""

    process: subprocess.Popen[bytes]
    log: Path
    seen: set[tuple[int, str]] = field(default_factory=set)

    def text(self) -> str:
        return self.log.read_text()

    def family(self) -> set[tuple[int, str]]:
        """Return all processes below the agent, and remember them."""
        self.seen |= descendants(self.process.pid)
        return descendants(self.process.pid)

    def survivors(self) -> set[tuple[int, str]]:
        """Return which of the processes ever seen are alive."""
        return {(pid, started) for pid, started in self.seen if started_at(pid) == started}

    def operators(self) -> set[int]:
        """Return the operator processes themselves."""
        return {pid for pid, _ in self.family() if is_operator(pid)}

    def kill(self) -> None:
        self.family()
        self.process.kill()
        self.process.wait(20)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.family()
        self.process.send_signal(number)


@contextmanager
def running_agent(
    folder: Path,
    url: str,
    *,
    namespaces: bool = True,
    name: str = NODE,
    run_as: str = "",
    config: str = "",
) -> Iterator[RunningAgent]:
    """Run an agent for the length of a `with` block, with a whole `config` or a plain one."""
    path = folder / "agent.json"
    plain = {"name": name, "amqp_urls": [url], "scratch": str(folder / "scratch")}
    path.write_text(config or json.dumps(plain))
    path.chmod(0o600)
    log = folder / f"agent-{secrets.token_hex(4)}.log"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", _AGENT, str(path), "yes" if namespaces else "no", run_as],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )
    agent = RunningAgent(process, log)
    try:
        yield agent
    finally:
        agent.kill()
        sys.stderr.write(agent.text())
        eventually(lambda: not agent.survivors(), what=f"no process is left: {agent.survivors()}")
