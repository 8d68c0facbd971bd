"""Archives made by hand, played, and what came out of it."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from manager.replays.playback import playback_of
from manager.replays.player import Player
from manager.replays.request import Position, ReplayRequest
from streams import names
from streams.archive import Record, SegmentKey, SegmentWriter, record_of
from streams.broker import Channel, EventLoop, Session, topology
from streams.broker.properties import from_properties
from streams.errors import StreamsError
from streams.message import PUBLISHED_US, Message
from streams.objects import Objects
from streams.settings import Settings

#: When the first message of a test's archive arrives, in us.
START_US = 1_795_600_000_000_000
SECOND_US = 1_000_000
DELIVERY_COUNT = "x-delivery-count"


def record(number: int, *, at_s: float | None = None, arrived_s: float | None = None) -> Record:
    """Return the record of message `number`, published and arrived so long after the start."""
    published_us = START_US + int((number if at_s is None else at_s) * SECOND_US)
    arrived_us = published_us if arrived_s is None else START_US + int(arrived_s * SECOND_US)
    headers = {PUBLISHED_US: published_us, "n": number}
    message = Message(
        b"%d" % number, f"id-{number}", "text/plain", timestamp=published_us // SECOND_US
    )
    message = Message(
        message.body, message.message_id, message.content_type, None, message.timestamp, headers
    )
    return record_of(message, arrived_us=arrived_us)


def numbered(*numbers: int) -> list[Record]:
    """Return the records of these messages."""
    return [record(number) for number in numbers]


@dataclass
class Archive:
    """An archive in a test's bucket."""

    settings: Settings
    stream: str = "s"
    objects: Objects = field(init=False)

    def __post_init__(self) -> None:
        self.objects = Objects(self.settings.s3)

    @property
    def bucket(self) -> str:
        """The bucket."""
        return self.settings.need_bucket()

    def add(self, records: Sequence[Record], *, segment_id: str = "0a") -> SegmentKey:
        """Store a segment with these records."""
        key = SegmentKey(self.stream, records[0].arrived_us, segment_id)
        self.objects.put(self.bucket, key.key, segment_of(records))
        return key

    def play(
        self,
        request: ReplayRequest,
        position: Position | None = None,
        *,
        stop_at: int | None = None,
        kill_at: int | None = None,
    ) -> "Played":
        """Play it; pause, or end as SIGKILL would, as soon as so many messages were sent."""
        return play(
            self.settings, self.objects, request, position, stop_at=stop_at, kill_at=kill_at
        )


def segment_of(records: Iterable[Record]) -> bytes:
    """Return a segment's content."""
    file = io.BytesIO()
    writer = SegmentWriter(file)
    for each in records:
        writer.write(each)
    writer.close()
    return file.getvalue()


@dataclass(frozen=True)
class Played:
    """How a replay ended."""

    sent: int
    repeats: int
    complete: bool
    position: Position | None
    problems: list[str]
    error: StreamsError | None


def play(
    settings: Settings,
    objects: Objects,
    request: ReplayRequest,
    position: Position | None = None,
    *,
    stop_at: int | None = None,
    kill_at: int | None = None,
) -> Played:
    """Play a request to its end, or to where it is stopped or killed."""
    loop = EventLoop()
    playback = playback_of(objects, settings.need_bucket(), request, position, lambda _line: None)
    errors: list[StreamsError | None] = []
    player = Player(
        loop,
        settings.need_amqp(),
        request,
        playback,
        on_done=errors.append,
        say=lambda _line: None,
    )
    stopped = False

    def ended() -> bool:
        nonlocal stopped
        if stop_at is not None and player.sent >= stop_at and not stopped:
            stopped = True
            player.stop()
        return bool(errors) or (kill_at is not None and player.sent >= kill_at)

    try:
        player.open()
        loop.run_until(ended)
    finally:
        playback.close()
        loop.close()
    return Played(
        player.sent,
        playback.repeats,
        player.complete and errors == [None],
        player.progress[0],
        playback.problems,
        errors[0] if errors else None,
    )


@dataclass
class Collector:
    """A queue that collects a stream."""

    session: Session
    stream: str
    name: str = "collected"

    def __post_init__(self) -> None:
        self.session.call(lambda channel: topology.declare_stream(channel, self.stream))
        self.session.call(
            lambda channel: topology.declare_subscription(channel, self.stream, self.name)
        )

    @property
    def queue(self) -> str:
        """Its queue."""
        return names.subscription_queue(self.stream, self.name)

    def take(self) -> list[Message]:
        """Return everything that is there, as it was published."""
        return self.session.call(self._drain)

    def _drain(self, channel: Channel) -> list[Message]:
        # one by one: a consumer that ends takes along what was under way to it
        found: list[Message] = []
        while True:
            _method, properties, body = channel.basic_get(self.queue, auto_ack=True)
            if properties is None or body is None:
                return found
            found.append(_as_published(from_properties(properties, body)))

    def numbers(self) -> list[int]:
        """Return the numbers of everything that is there."""
        return [int(message.body) for message in self.take()]


def _as_published(message: Message) -> Message:
    """Return a message without what a quorum queue adds."""
    headers = {name: value for name, value in message.headers.items() if name != DELIVERY_COUNT}
    return replace(message, headers=headers)
