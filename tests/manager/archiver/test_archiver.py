"""An archiver at work: a process of its own, a real broker, a real S3."""

import io
import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest

from streams import names
from streams.archive import message_of, read_segment
from streams.broker import topology
from streams.broker.codec import Outgoing
from streams.message import OBJECT_REFERENCE, Message
from streams.reference import ObjectReference
from tests.deployment import Service
from tests.eventually import eventually
from tests.faults import Fault, faulty_way
from tests.manager.archiver.recording import Recording
from tests.rabbit import BrokerNode
from tests.streams.archive.messages import ON_THE_WIRE


def numbered(*numbers: int) -> list[Message]:
    return [Message(b"%d" % n, message_id=f"id-{n}", content_type="text/plain") for n in numbers]


def peak_mib(archiver: Service) -> float:
    """Return how much memory a process has had at most."""
    said = Path(f"/proc/{archiver.pid}/status").read_text()
    return int(said.split("VmHWM:")[1].split()[0]) / 1024


def test_streams_of_any_name_are_archived_as_they_come(recording: Recording) -> None:
    streams = ("my-stream", "a.b", "x_1")
    recording.begin(*streams)
    archiver = recording.archiver()
    foreign = [
        Message(b"\xff\x00", headers=ON_THE_WIRE, timestamp=5, correlation_id="c"),
        Message(b"tick"),
        Message(b"tick"),
        ObjectReference("bucket", "key", 5, "etag").message(),
    ]
    sent = {stream: [*numbered(*range(20)), *foreign] for stream in streams}
    for stream in streams:
        recording.publish(stream, sent[stream])
    eventually(lambda: not any(map(recording.waiting, streams)), within_s=30)
    recording.finish(archiver)
    for stream in streams:
        records = recording.records(stream)
        came = [message_of(record) for record in records]
        assert came[:20] == sent[stream][:20]
        for message, original in zip(came[20:], foreign, strict=True):
            assert replace(message, message_id=None) == original
        assert came[-1].content_type == OBJECT_REFERENCE
        assert len({message.message_id for message in came}) == 24
        assert recording.tally(stream).messages == 24 == recording.count(stream)
        recording.check_order(stream)


def test_it_goes_on_where_it_was(recording: Recording) -> None:
    recording.begin("s")
    for turn in range(2):
        archiver = recording.hurried()
        recording.publish("s", numbered(turn))
        recording.wait_stored("s", turn + 1)
        recording.finish(archiver)
    assert [r.body for r in recording.records("s")] == [b"0", b"1"]
    assert [key[-20:] for key in recording.keys("s")] == [f"{n:015}.avro" for n in range(2)]
    tally = recording.tally("s")
    assert (tally.segments, tally.first_position, tally.next_position) == (2, 0, 2)
    assert tally.size_bytes == sum(len(recording.get(key)) for key in recording.keys("s"))


def test_another_takes_over_and_what_is_no_longer_wanted_ends(recording: Recording) -> None:
    recording.begin("s", "t")
    first, _ = recording.hurried(), recording.hurried()
    recording.publish("s", numbered(*range(10)))
    recording.wait_stored("s", 10)
    first.kill()
    recording.publish("s", numbered(*range(10, 20)))
    recording.wait_stored("s", 20)
    assert [r.body for r in recording.replayed("s")] == [b"%d" % n for n in range(20)]
    recording.end("s")
    eventually(lambda: recording.store.open_archives().keys() == {"t"}, what="one has ended")


def test_a_broker_that_is_killed_loses_nothing(
    recording: Recording, broker_node: BrokerNode
) -> None:
    recording.begin("s")
    recording.hurried()
    recording.publish("s", numbered(*range(10)))
    recording.wait_stored("s", 10)
    broker_node.note_queues()
    recording.publish("s", numbered(*range(10, 20)))
    broker_node.kill()
    broker_node.start()
    recording.session.close()
    recording.publish("s", numbered(*range(20, 30)))
    recording.wait_stored("s", 30)
    assert [r.body for r in recording.replayed("s")] == [b"%d" % n for n in range(30)]
    recording.check_order("s")


def test_while_s3_is_away_the_broker_keeps_what_comes(recording: Recording) -> None:
    recording.begin("s")
    with faulty_way(recording.server.access) as way:
        recording.hurried(AWS_ENDPOINT_URL_S3=str(way.access.endpoint_url))
        recording.publish("s", numbered(0))
        recording.wait_stored("s", 1)
        # stored, but nobody hears of it; after that, nothing at all
        way.inject(Fault(cut_answer=True), method="PUT", times=1)
        way.inject(Fault(status=503), times=1000)
        recording.publish("s", numbered(*range(1, 30)))
        eventually(lambda: recording.store.get_archive("s").problem, within_s=60, what="it says so")
        assert str(way.access.endpoint_url) in recording.store.get_archive("s").problem
        eventually(lambda: recording.waiting("s") == 29, what="nothing waits in the archiver")
        way.heal()
        recording.wait_stored("s", 30, within_s=90)
        assert [r.body for r in recording.records("s")] == [b"%d" % n for n in range(30)]
        eventually(lambda: not recording.store.get_archive("s").problem, what="it is over")


@pytest.mark.long
def test_a_queue_that_somebody_deleted_is_made_anew(recording: Recording) -> None:
    recording.begin("s")
    recording.hurried()
    recording.publish("s", numbered(0))
    recording.wait_stored("s", 1)
    topology.delete_archive(recording.session.channel, "s")
    log = recording.services[0].log
    eventually(lambda: "somebody deleted the queue" in log.read_text(), what="it is noticed")
    exchange, one = names.exchange("s"), numbered(1)[0]
    eventually(lambda: recording.session.publish(exchange, one), what="it is collected again")
    recording.wait_stored("s", 2)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_million_messages_in_constant_memory(recording: Recording) -> None:
    count = 1_000_000
    recording.begin("s")
    archiver = recording.archiver()
    channel = recording.session.connection.channel()  # without confirms: all are counted below
    for number in range(count):
        properties = Outgoing("text/plain", {}, f"id-{number}", None, None)
        channel.basic_publish("streams.s", "", b"%d" % number, properties)
    recording.wait_stored("s", count, within_s=900)
    assert peak_mib(archiver) < 200
    bodies = itertools.chain.from_iterable(
        (record.body for record in read_segment(io.BytesIO(recording.get(key))))
        for key in recording.keys("s")
    )
    assert all(body == b"%d" % number for number, body in enumerate(bodies))
    tally = recording.tally("s")
    assert (tally.messages, tally.segments) == (count, len(recording.keys("s")))


@pytest.mark.long
def test_large_messages_make_less_come_at_once(recording: Recording) -> None:
    recording.begin("s")
    archiver = recording.hurried()
    large = [Message(os.urandom(4 * 1024 * 1024), message_id=str(n)) for n in range(12)]
    recording.publish("s", large)
    recording.wait_stored("s", 12)
    assert [r.body for r in recording.replayed("s")] == [m.body for m in large]
    assert peak_mib(archiver) < 300
