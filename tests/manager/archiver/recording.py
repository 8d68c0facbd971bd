"""An archive under test: what goes into a stream, and what is found in S3 by somebody else."""

import io
import itertools
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fastavro

from manager.model import Tally
from manager.replays.repeats import Repeats
from manager.store import Store
from streams import names
from streams.archive import Record, SegmentKey, read_segment, stream_prefix
from streams.broker import Session, topology
from streams.broker.properties import to_properties
from streams.message import Message
from streams.settings import Settings
from tests.deployment import Service
from tests.eventually import eventually
from tests.s3 import S3Server

HURRIED = "tests.manager.archiver.hurried"


@dataclass
class Recording:
    """Streams that are archived, and who does it."""

    settings: Settings
    server: S3Server
    store: Store
    session: Session
    folder: Path
    services: list[Service] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def bucket(self) -> str:
        """The bucket of archives."""
        return self.settings.need_bucket()

    def begin(self, *streams: str) -> None:
        """Begin to archive streams, which are made."""
        self.session.call(topology.declare_control)
        for stream in streams:
            if self.store.find_stream(stream) is None:
                with self.store.created_stream(stream, "ada"):
                    topology.declare_stream(self.session.channel, stream)
            with self.store.begun_archive(stream, "ada", passive=False, keep_days=None):
                topology.declare_archive(self.session.channel, stream)

    def end(self, stream: str) -> None:
        """Stop archiving, as the manager does it."""
        with self.store.stopping_archive(stream) as mark:
            topology.unbind_archive(self.session.channel, stream)
            key = names.archive_end_key(stream)
            message = Message((mark or "").encode())
            self.session.publish(names.CONTROL_EXCHANGE, message, routing_key=key)

    def archiver(self, **more: str) -> Service:
        """Start an archiver, as people do."""
        return self._started(self.service("manager", "--role", "archiver", **more))

    def hurried(self, step: str = "", times: int = 1, **more: str) -> Service:
        """Start one that closes segments soon, and that is killed at a step, if one is named."""
        command = (step, str(times)) if step else ()
        return self._started(self.service(*command, module=HURRIED, **more))

    def service(self, *command: str, module: str = "tools.main", **more: str) -> Service:
        """Return a service with settings that lead here, not yet started."""
        access = self.settings.s3
        environment = {
            "STREAMBOSS_AMQP_URL": ",".join(self.settings.need_amqp()),
            "STREAMBOSS_DATABASE_URL": f"sqlite:///{self.folder}/manager.db",
            "STREAMBOSS_BUCKET": self.bucket,
            "AWS_ENDPOINT_URL_S3": access.endpoint_url or "",
            "AWS_ACCESS_KEY_ID": access.access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
            "TMPDIR": str(self.folder),
            **more,
        }
        folder = self.folder / f"service-{next(self._numbers)}"
        made = Service(folder, environment, *command, module=module)
        self.services.append(made)
        return made

    def _started(self, made: Service) -> Service:
        made.start()
        return made

    def publish(self, stream: str, messages: Iterable[Message]) -> None:
        """Publish messages as they are, each confirmed."""
        for message in messages:
            self.session.channel.basic_publish(
                names.exchange(stream), "", message.body, to_properties(message)
            )

    def keys(self, stream: str) -> list[str]:
        """Return the keys of a stream's segments, in order."""
        listed = self.server.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=stream_prefix(stream)
        )
        return sorted(item["Key"] for page in listed for item in page.get("Contents", []))

    def segments(self, stream: str) -> list[list[Record]]:
        """Return the records of each segment of a stream."""
        return [list(read_segment(io.BytesIO(self.get(key)))) for key in self.keys(stream)]

    def get(self, key: str) -> bytes:
        """Return an object's content."""
        return self.server.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def records(self, stream: str) -> list[Record]:
        """Return everything that is archived of a stream, in order, stored twice or not."""
        return list(itertools.chain.from_iterable(self.segments(stream)))

    def replayed(self, stream: str) -> list[Record]:
        """Return what a replay would play."""
        played, repeats = [], Repeats()
        for segment in self.segments(stream):
            repeats.next_segment()
            played += [record for record in segment if not repeats.is_repeat(record)]
        return played

    def count(self, stream: str) -> int:
        """Return how many messages are archived, by anybody's Avro reader."""
        return sum(
            sum(1 for _ in fastavro.reader(io.BytesIO(self.get(key)))) for key in self.keys(stream)
        )

    def tally(self, stream: str) -> Tally:
        """Return what the store says that a stream's archive holds."""
        return self.store.get_archive(stream).tally

    def wait_stored(self, stream: str, count: int, *, within_s: float = 40) -> None:
        """Wait until so many messages are stored and noted."""
        eventually(
            lambda: self.tally(stream).messages >= count,
            within_s=within_s,
            what=f"{count} messages of {stream}: {self.tally(stream)}",
        )

    def waiting(self, stream: str) -> int:
        """Return how many messages are ready in a stream's queue."""
        queue = names.archive_queue(stream)
        answer = self.session.call(lambda channel: channel.queue_declare(queue, passive=True))
        return int(answer.method.message_count)

    def check_order(self, stream: str) -> None:
        """See that nothing goes back in time: neither keys nor what is in them."""
        arrivals = [record.arrived_us for record in self.records(stream)]
        assert arrivals == sorted(arrivals)
        for key, segment in zip(self.keys(stream), self.segments(stream), strict=True):
            assert SegmentKey.parse(key).arrived_us == segment[0].arrived_us

    def finish(self, archiver: Service) -> None:
        """Let an archiver store what it has, and end."""
        assert archiver.process is not None
        archiver.process.send_signal(signal.SIGTERM)
        assert archiver.process.wait(60) == 0

    def stop(self) -> None:
        """End all that was started."""
        for service in self.services:
            service.kill()
