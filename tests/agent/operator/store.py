"""The test's bucket as operators' inputs and outputs, and how much memory an operator needs."""

import hashlib
from pathlib import Path

from streams.message import OBJECT_REFERENCE, Message
from streams.objects import Objects
from streams.reference import ObjectReference
from streams.settings import Settings
from tests.agent.operator.desk import Desk

MIB = 1024 * 1024
#: What an operator may need beyond what it needs when idle.
MORE_BYTES = 64 * MIB


class Store:
    """The test's bucket, through our own client."""

    def __init__(self, settings: Settings) -> None:
        self.bucket = settings.object_bucket or ""
        self.objects = Objects(settings.s3)

    def put(self, key: str, content: bytes, content_type: str | None = None) -> Message:
        """Store an object and return a message that refers to it."""
        return self.objects.put(self.bucket, key, content, content_type=content_type).message()

    def content(self, message: Message) -> bytes:
        """Return the content of what a message refers to."""
        assert message.content_type == OBJECT_REFERENCE
        return b"".join(self.objects.fetch(ObjectReference.parse(message.body)))

    def sha256(self, message: Message) -> str:
        """Return the SHA-256 of what a message refers to, however large."""
        assert message.content_type == OBJECT_REFERENCE
        digest = hashlib.sha256()
        for piece in self.objects.fetch(ObjectReference.parse(message.body)):
            digest.update(piece)
        return digest.hexdigest()

    def outputs(self) -> list[str]:
        """Return the keys of outputs that became objects."""
        return [info.key for info in self.objects.list(self.bucket, "outputs/")]


def noise(size: int) -> bytes:
    """Return bytes that no two places of which are alike."""
    return hashlib.shake_128(b"noise").digest(size)


def reference(message: Message) -> ObjectReference:
    """Return what a message refers to."""
    assert message.content_type == OBJECT_REFERENCE
    return ObjectReference.parse(message.body)


def memory(desk: Desk, name: str) -> int:
    """Return a figure in bytes of the operator's `/proc/PID/status`."""
    assert desk.process is not None
    lines = Path(f"/proc/{desk.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
