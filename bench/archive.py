"""How fast a stream is archived: beside what the broker takes, and an object for each message."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.path import DEADLINE_S, Turn, body, cpu_s, memory_bytes
from bench.publishing import PUBLISH_LOOP, publish
from bench.scenario import Goal, Scenario, memory_mib, share_of_either
from manager.store import Store
from streams import names
from streams.broker import Session
from tests.manager.archiver.recording import Recording
from tests.rabbit import BrokerNode
from tests.s3 import running_s3

#: whole segments: the last one needn't wait until it is old enough
_COUNT = 60_000
_OBJECTS, _THREADS = 1000, 8
_STREAM = "s"
ARCHIVER = "the archiver"


def archive(node: BrokerNode) -> Iterator[Turn]:
    """The publish loop fills the queue that the archiver then empties."""
    with _recording(node) as recording:
        yield Turn(PUBLISH_LOOP, _COUNT / publish(recording.settings, _STREAM, range(_COUNT)))
        yield _archived(recording)
        publish(recording.settings, _STREAM, range(_OBJECTS))
        yield _one_object_a_message(recording)


@contextmanager
def _recording(node: BrokerNode) -> Iterator[Recording]:
    with (
        node.vhost() as plain,
        running_s3() as server,
        server.bucket() as bucket,
        Session(plain.need_amqp(), name="bench") as session,
        tempfile.TemporaryDirectory(prefix="sb-bench-") as folder,
    ):
        settings = replace(plain, s3=server.access, bucket=bucket)
        store = Store(f"sqlite:///{folder}/manager.db")
        recording = Recording(settings, server, store, session, Path(folder))
        recording.begin(_STREAM)
        try:
            yield recording
        finally:
            recording.stop()
            store.close()


def _archived(recording: Recording) -> Turn:
    """The clock runs from the first segment to the last, so that starting up doesn't count."""
    archiver = recording.archiver()
    first = _stored(recording, 1)
    start_s, start_cpu = time.monotonic(), cpu_s(archiver.pid)
    last = _stored(recording, _COUNT)
    seconds, cpu = time.monotonic() - start_s, cpu_s(archiver.pid) - start_cpu
    whole_bytes = memory_bytes(archiver.pid, "VmHWM")
    recording.finish(archiver)
    came = [record.body for record in recording.records(_STREAM)]
    if came != [body(number) for number in range(_COUNT)]:
        raise RuntimeError("a message is missing, changed or out of order")
    moved = last - first
    return Turn(ARCHIVER, moved / seconds, cpu / moved * 1e6, memory_bytes=whole_bytes)


def _stored(recording: Recording, count: int) -> int:
    deadline = time.monotonic() + DEADLINE_S
    while (there := recording.tally(_STREAM).messages) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {there} of {count} messages are archived")
        time.sleep(0.01)
    return there


def _one_object_a_message(recording: Recording) -> Turn:
    """What is often written by hand: each message put by itself, several at a time."""
    channel, client = recording.session.connection.channel(), recording.server.client
    queue = names.archive_queue(_STREAM)
    channel.basic_qos(prefetch_count=2 * _THREADS)
    start_s = time.monotonic()
    came = channel.consume(queue, inactivity_timeout=10)
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in range(_OBJECTS // _THREADS):
            some = [next(came) for _ in range(_THREADS)]
            list(
                pool.map(
                    lambda one: client.put_object(
                        Bucket=recording.bucket, Key=f"each/{one[1].message_id}", Body=one[2]
                    ),
                    some,
                )
            )
            last = some[-1][0]
            channel.basic_ack(last.delivery_tag if last else 0, multiple=True)
    seconds = time.monotonic() - start_s
    channel.close()
    return Turn(f"an object for each message, {_THREADS} at a time", _OBJECTS / seconds)


SCENARIO = Scenario(
    "archive",
    "How fast is a stream archived?",
    PUBLISH_LOOP,
    archive,
    goals=(
        Goal(
            "20,000 msg/s, or 0.9 x the publish loop: what is nearer, as a share",
            share_of_either(20_000, 0.9, ARCHIVER, PUBLISH_LOOP),
            at_least=1,
        ),
        Goal("the archiver's whole memory: 200 MiB", memory_mib(ARCHIVER), at_most=200),
    ),
    rounds=2,
)
