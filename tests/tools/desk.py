"""A desk with a broker, an S3 server, a stream `s`, and somebody who collects it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from streams.access import S3Access
from streams.broker import Session, topology
from streams.message import Message
from streams.reference import ObjectReference
from streams.settings import Settings
from tests.tools.typist import Typist

LARGE_BYTES = 120_000_000
TOOL_S = 30.0


class Desk:
    """What a person does there, with settings of these servers alone."""

    def __init__(self, folder: Path, settings: Settings, session: Session) -> None:
        self.folder, self.session, self.access = folder, session, settings.s3
        environment = Typist.at("", folder).environment | settings.s3.environment()
        environment["STREAMBOSS_AMQP_URL"] = settings.need_amqp()[0]
        del environment["STREAMBOSS_MANAGER_URL"]
        self.typist = Typist(folder, environment)
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        self.queue = str(session.channel.queue_declare("", exclusive=True).method.queue)
        session.channel.queue_bind(self.queue, "streams.s")

    def file(self, name: str, content: bytes = b"content") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def large_file(self) -> Path:
        path = self.file("large.bin", b"")
        with path.open("r+b") as file:
            file.truncate(LARGE_BYTES)
        return path

    def published(self) -> list[ObjectReference]:
        found = []
        while (got := self.session.channel.basic_get(self.queue, auto_ack=True))[2] is not None:
            assert got[1]
            assert got[1].content_type == "application/vnd.streamboss.object+json"
            assert got[1].message_id
            found.append(ObjectReference.parse(got[2]))
        return found

    def fails(
        self, *arguments: str, status: int = 1, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command that fails as people expect it, with nothing published."""
        done = self.typist.run("stream-file", *arguments, **(environment or {}))
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        assert self.published() == []
        assert "Traceback" not in done.stderr
        return done.stderr

    def reaching(self, access: S3Access) -> Typist:
        """Return a person who reaches S3 like this."""
        return Typist(self.folder, {**self.typist.environment, **access.environment()})

    def publish(self, *messages: Message | ObjectReference) -> None:
        """Publish these on `s`."""
        for each in messages:
            message = each if isinstance(each, Message) else each.message()
            self.session.publish("streams.s", message)

    def consume(self, *arguments: str, typist: Typist | None = None) -> "Consuming":
        """Leave `consume s` running; it is bound when this returns."""
        return Consuming((typist or self.typist).start_bytes("consume", "s", *arguments))


class Consuming:
    """A `consume` that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.said = b""
        self.hear(b"consuming s")

    def hear(self, text: bytes) -> None:
        """Wait for a line on stderr that holds this."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"it never said {text!r}, but {self.said!r}")

    def end(self) -> tuple[int, bytes]:
        """Wait for its end; return the exit status and all of stdout."""
        out, err = self.process.communicate(timeout=TOOL_S)
        self.said += err
        assert b"Traceback" not in self.said
        return self.process.returncode, out
