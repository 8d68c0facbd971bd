"""An archiver at work: a process of its own, a real broker, a real S3."""

import signal

import pytest

from streams.archive import message_of
from streams.message import Message
from tests.eventually import eventually
from tests.manager.archiver.recording import Recording


def numbered(*numbers: int) -> list[Message]:
    return [Message(b"%d" % n, message_id=f"id-{n}", content_type="text/plain") for n in numbers]


@pytest.mark.parametrize("stream", ["my-stream", "a.b", "x_1"])
def test_what_is_published_is_in_the_archive(recording: Recording, stream: str) -> None:
    recording.begin(stream)
    archiver = recording.archiver()
    sent = numbered(*range(50))
    recording.publish(stream, sent)
    eventually(lambda: recording.waiting(stream) == 0)
    assert archiver.process is not None
    archiver.process.send_signal(signal.SIGTERM)
    assert archiver.process.wait(20) == 0
    assert [message_of(r) for r in recording.records(stream)] == sent
    assert recording.tally(stream).messages == 50
    recording.check_order(stream)
