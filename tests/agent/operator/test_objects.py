"""Objects through real operator processes, a real broker and a real S3 server."""

import hashlib

import pytest

from streams.message import OBJECT_REFERENCE, Message
from streams.objects import Objects
from streams.reference import ObjectReference
from streams.settings import Settings
from tests.agent.operator.conftest import MakeDesk

MIB = 1024 * 1024


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


@pytest.fixture
def store(s3_settings: Settings) -> Store:
    return Store(s3_settings)


def test_an_object_is_what_the_program_reads(s3_desk: MakeDesk, store: Store) -> None:
    content = bytes(range(256)) * 4096
    at = s3_desk(exec="sha256sum")
    at.publish(store.put("data", content, "text/plain"))
    (output,) = at.outputs(1)
    assert output.body.split()[0].decode() == hashlib.sha256(content).hexdigest()
    assert at.drain() == 0
    assert at.waiting() == 0


def test_a_large_output_is_an_object(s3_desk: MakeDesk, store: Store) -> None:
    content = bytes(range(256)) * 4096 * 30
    at = s3_desk(exec="cat")
    at.publish(store.put("data", content, "text/plain"))
    (output,) = at.outputs(1)
    assert store.content(output) == content
    assert at.drain() == 0
