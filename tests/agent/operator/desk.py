"""An operator process at work on a broker, as its agent sees it."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from agent.protocol import Connect, Drain, Start
from streams import names
from streams.broker import Channel, Session, topology
from streams.broker.properties import from_properties
from streams.control import Assigned
from streams.definition import ProcessDefinition
from streams.message import Message
from streams.settings import Settings
from tests.eventually import eventually


class Desk:
    """Streams `a` and `b`, the operation `op` between them, and `sink`, which collects `b`."""

    def __init__(
        self, session: Session, settings: Settings, scratch: Path, **definition: Any
    ) -> None:
        self.session = session
        self.settings = settings
        self.scratch = scratch
        raw = {"name": "op", "application": "any", "timeout": 20, **definition}
        self.definition = ProcessDefinition.from_mapping(raw)
        self.reports: list[dict[str, Any]] = []
        self.logged: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._wrapper: tuple[str, ...] = ()
        session.call(self._declare)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start an operator process and give it its work."""
        self.process = subprocess.Popen(
            [*self._wrapper, sys.executable, "-m", "agent.operator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path.cwd()),
                # where no login is given boto3 would ask the cloud that it believes to be in
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()
        self.say(
            Connect(amqp_urls=self.settings.need_amqp(), node="desk", scratch=str(self.scratch))
        )
        self.say(self._start_line())

    def reach(self, settings: Settings) -> None:
        """Tell the operator that S3 is reached otherwise now."""
        self.settings = settings
        self.say(self._start_line())

    def _start_line(self) -> Start:
        assigned = Assigned(
            operation="op",
            revision=1,
            definition=self.definition,
            input_stream="a",
            output_stream="b",
            objects=self.settings.objects,
        )
        return Start(assigned=assigned)

    def limit_files(self, size: int) -> None:
        """Let no file of the next operator grow beyond so many bytes, as a full disk would."""
        self._wrapper = ("prlimit", f"--fsize={size}")

    def trace(self, file: Path) -> None:
        """Let strace write the system calls about processes of the next operator into a file."""
        self._wrapper = ("strace", "-f", "-e", "trace=process", "-o", str(file))

    def say(self, line: Any) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()

    def drain(self, drain_s: float = 10) -> int:
        """Drain and return the exit status."""
        assert self.process is not None
        self.say(Drain(drain_s=drain_s))
        return self.process.wait(drain_s + 10)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._listener.join(5)  # it reads to the end of what is about to be closed
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def publish(self, *bodies: bytes | Message) -> None:
        for body in bodies:
            message = body if isinstance(body, Message) else Message(body)
            self.session.publish("streams.a", message)

    def outputs(self, count: int, *, within_s: float = 30) -> list[Message]:
        """Return the next so many outputs."""
        return self._take("operations.sink", count, within_s)

    def dead(self, count: int = 1, *, within_s: float = 30) -> list[Message]:
        """Return the next so many dead letters."""
        return self._take(names.dead_queue("op"), count, within_s)

    def waiting(self, queue: str = "operations.op") -> int:
        """Return how many messages are ready in a queue."""
        answer: Any = self.session.call(lambda c: c.queue_declare(queue, passive=True))
        return int(answer.method.message_count)

    def state(self) -> tuple[str, str]:
        """Return the last reported state and its reason."""
        if not self.reports:
            return "", ""
        return str(self.reports[-1]["state"]), str(self.reports[-1]["reason"])

    def until(self, state: str, *, within_s: float = 30) -> str:
        """Wait for a state and return its reason."""
        eventually(lambda: self.state()[0] == state, within_s=within_s, what=f"state {state}")
        return self.state()[1]

    @property
    def counters(self) -> dict[str, Any]:
        return dict(self.reports[-1]["counters"]) if self.reports else {}

    @staticmethod
    def _declare(channel: Channel) -> None:
        topology.declare_control(channel)
        for operation, stream in (("op", "a"), ("sink", "b")):
            topology.declare_stream(channel, stream)
            topology.declare_operation(channel, operation)
            topology.bind_operation(channel, operation, stream)

    def _take(self, queue: str, count: int, within_s: float) -> list[Message]:
        taken: list[Message] = []

        def enough() -> bool:
            while len(taken) < count:
                method, properties, body = self.session.call(
                    lambda channel: channel.basic_get(queue, auto_ack=True)
                )
                if method is None or properties is None or body is None:
                    return False
                taken.append(from_properties(properties, body))
            return True

        eventually(enough, within_s=within_s, what=f"{count} messages in {queue}")
        return taken

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = json.loads(raw)
            if line["kind"] == "report":
                self.reports.append(line["report"])
            elif line["kind"] == "log":
                self.logged += line["lines"]
