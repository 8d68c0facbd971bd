"""Runs an operator process as a node agent would, and looks at it from outside only.

`Pipeline` is an operation between two streams of its own on the test's vhost, with a queue that
collects what comes out. `Operator` is the process, spoken to in lines. What a test started is
found again, however it hid, by a mark in its environment.
"""

import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from agent.protocol import Connect, Drain, Start
from streams import names
from streams.broker import Channel, Session, topology
from streams.broker.properties import from_properties, to_properties
from streams.control import Assigned, Counters, OperatorReport, OperatorState
from streams.definition import ProcessDefinition
from streams.message import Message
from tests.eventually import eventually

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "programs"
NODE = "test-node"
#: In the environment of every program that a test runs; its value is the test's own.
MARK = "TEST_MARK"
#: So many waiting messages are consumed instead of being asked for one by one.
MANY = 100


def program(name: str) -> str:
    """Return the path of one of our misbehaving programs."""
    return str(PROGRAMS / name)


def defined(exec_: str, **fields: Any) -> ProcessDefinition:
    """Return a definition with limits that keep a test short."""
    given = {"name": "test", "application": "test", "timeout": 20, "retries": 1} | fields
    return ProcessDefinition.from_mapping({"exec": exec_, **given})


def text(body: bytes | str) -> Message:
    """Return a message as `publish` makes it from a line."""
    return Message(body.encode() if isinstance(body, str) else body, content_type="text/plain")


class Pipeline:
    """An operation `name` from the stream `<name>-in` to `<name>-out`, and what it made so far."""

    def __init__(self, urls: Sequence[str], name: str) -> None:
        self.name, self.input, self.output = name, f"{name}-in", f"{name}-out"
        self._sink = f"sink.{name}"
        self._outputs: list[Message] = []
        self._dead: list[Message] = []
        self.session = Session(urls, name=f"test {name}")
        self.session.call(self._declare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def _declare(self, channel: Channel) -> None:
        topology.declare_control(channel)
        topology.declare_stream(channel, self.input)
        topology.declare_stream(channel, self.output)
        topology.declare_operation(channel, self.name)
        topology.bind_operation(channel, self.name, self.input)
        channel.queue_declare(self._sink, durable=True)
        channel.queue_bind(self._sink, names.exchange(self.output))

    def publish(self, *messages: bytes | str | Message) -> None:
        """Publish on the input stream; bare text goes as text/plain."""
        for message in messages:
            whole = message if isinstance(message, Message) else text(message)
            assert self.session.publish(names.exchange(self.input), whole)

    def publish_fast(self, messages: Sequence[Message]) -> None:
        """Publish many messages without waiting for each, as a load test needs it."""
        # not closed: with a channel that closes RabbitMQ may drop what it hasn't confirmed
        channel = self.session.connection.channel()
        for message in messages:
            channel.basic_publish(
                names.exchange(self.input), "", message.body, to_properties(message)
            )

    def outputs(self) -> list[Message]:
        """Return all that came out so far, in order."""
        self._outputs += self._take(self._sink)
        return self._outputs

    def bodies(self) -> list[bytes]:
        """Return the bodies of all that came out so far."""
        return [message.body for message in self.outputs()]

    def dead(self) -> list[Message]:
        """Return all dead letters so far."""
        self._dead += self._take(names.dead_queue(self.name))
        return self._dead

    def waiting(self) -> int:
        """Return how many inputs lie in the queue, delivered to nobody."""
        queue = names.operation_queue(self.name)
        answer = self.session.call(lambda channel: channel.queue_declare(queue, passive=True))
        return int(answer.method.message_count)

    def made(self) -> int:
        """Return how many outputs came so far, without taking them: cheap under load."""
        answer = self.session.call(lambda c: c.queue_declare(self._sink, passive=True))
        return len(self._outputs) + int(answer.method.message_count)

    def _take(self, queue: str) -> list[Message]:
        taken: list[Message] = []
        while True:
            method, properties, body = self.session.call(
                lambda channel: channel.basic_get(queue, auto_ack=True)
            )
            if method is None or properties is None or body is None:
                return taken
            taken.append(from_properties(properties, body))
            if method.message_count > MANY:
                taken += self._take_many(queue, method.message_count)

    def _take_many(self, queue: str, number: int) -> list[Message]:
        taken: list[Message] = []
        channel = self.session.connection.channel()
        for method, properties, body in channel.consume(queue, inactivity_timeout=5):
            assert method is not None
            assert properties is not None
            assert body is not None
            taken.append(from_properties(properties, body))
            if len(taken) == number:
                channel.basic_ack(method.delivery_tag, multiple=True)
                break
        channel.close()
        return taken


@dataclass
class Operator:
    """A running operator process, and what it said."""

    process: subprocess.Popen[bytes]
    scratch: Path
    mark: str
    reports: list[OperatorReport] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    odd_lines: list[bytes] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            match self._parsed(line):
                case {"kind": "ready"}:
                    self.ready.set()
                case {"kind": "report", "report": report}:
                    self.reports.append(OperatorReport.model_validate(report))
                case {"kind": "log", "lines": lines}:
                    self.logs += lines
                case {"kind": "alive"}:
                    pass
                case _:
                    self.odd_lines.append(line)

    @staticmethod
    def _parsed(line: bytes) -> object:
        try:
            return json.loads(line)
        except ValueError:
            return None

    def say(self, line: BaseModel) -> None:
        """Write one line of the protocol."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()

    @property
    def state(self) -> OperatorState | None:
        """The state last reported."""
        return self.reports[-1].state if self.reports else None

    @property
    def counters(self) -> Counters:
        """The counters last reported."""
        return self.reports[-1].counters if self.reports else Counters()

    def failures(self) -> list[str]:
        """Return the reason of each report of `failed`."""
        return [r.reason for r in self.reports if r.state is OperatorState.FAILED]

    def drain(self, drain_s: float = 5.0) -> int:
        """Let it finish what it has, and return its exit status."""
        self.say(Drain(drain_s=drain_s))
        return self.exit_status(within_s=drain_s + 15)

    def exit_status(self, within_s: float = 15.0) -> int:
        """Wait for its end and return its exit status."""
        status = self.process.wait(within_s)
        self._reader.join(5)
        return status

    def programs(self) -> list[int]:
        """Return the processes that carry this test's mark, zombies not counted."""
        return marked(self.mark)

    def stderr(self) -> str:
        """Return the operator's own log."""
        return (self.scratch / "operator.log").read_text(errors="replace")

    def kill(self) -> None:
        """End it as the kernel would."""
        self.process.kill()
        self.process.wait()


class Tearable:
    """A way to the broker that can be torn, as a network does it."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._broker_port = port
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def tear(self) -> None:
        """End all connections with a reset, and take no more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._broker_port))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        source.close()


def marked(mark: str) -> list[int]:
    """Return the living processes with `mark` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def command_of(pid: int) -> str:
    """Return a process's command line, for a failed test to show."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "?"


@contextmanager
def operating(
    urls: Sequence[str],
    pipeline: Pipeline,
    definition: ProcessDefinition,
    folder: Path,
    *,
    start: bool = True,
) -> Iterator[Operator]:
    """Run an operator process for the length of a `with` block; nothing of it stays behind."""
    mark = secrets.token_hex(8)
    operator = Operator(_process(folder), folder, mark)
    environment = {**definition.environment, MARK: mark}
    assigned = Assigned(
        operation=pipeline.name,
        revision=1,
        definition=definition.model_copy(update={"environment": environment}),
        input_stream=pipeline.input,
        output_stream=pipeline.output,
    )
    try:
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        operator.say(Connect(amqp_urls=tuple(urls), node=NODE, scratch=str(scratch)))
        if start:
            operator.say(Start(assigned=assigned))
        yield operator
    finally:
        _clean_up(operator)


def _process(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "operator.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "agent.operator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            # no PYTHONUNBUFFERED; and something that no program may see
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(folder),
                "PYTHONPATH": str(ROOT),
                "OF_THE_AGENT": "secret",
                # where no login is given boto3 would ask the cloud that it believes to be in
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            start_new_session=True,
        )


def _clean_up(operator: Operator) -> None:
    with suppress(OSError):
        operator.kill()
    for stream in (operator.process.stdin, operator.process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    for pid in operator.programs():
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not operator.programs(), what="the test's programs are gone")
