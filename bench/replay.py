"""How fast an archive is played: beside what the broker takes, and an object for each message."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

from bench.path import OUTPUT, SINK, Turn, body, drained, memory_bytes, wait_for
from bench.publishing import PUBLISH_LOOP, publish
from bench.scenario import Goal, Scenario, memory_mib, share_of_either
from manager.replays.playback import playback_of
from manager.replays.player import Player
from manager.replays.request import ReplayRequest
from streams.archive import SegmentKey, SegmentWriter, record_of
from streams.broker import EventLoop, Session, topology
from streams.errors import StreamsError
from streams.message import PUBLISHED_US, Message, MessageIds, now_us
from streams.objects import Objects
from streams.settings import Settings
from tests.rabbit import BrokerNode
from tests.s3 import running_s3

_COUNT, _SEGMENTS = 60_000, 3
_OBJECTS, _THREADS = 1000, 8
REPLAY = "the replay"


@dataclass(frozen=True, slots=True)
class _Place:
    """An archive, and where it is played."""

    settings: Settings
    session: Session
    objects: Objects

    @property
    def bucket(self) -> str:
        return self.settings.need_bucket()


def replay(node: BrokerNode) -> Iterator[Turn]:
    """Each contender fills the same queue, which is emptied, and looked through, after it."""
    with _place(node) as place:
        _fill(place)
        for turn in (_published, _played, _published):
            yield turn(place)
            _check(place)
        yield _an_object_a_message(place)


@contextmanager
def _place(node: BrokerNode) -> Iterator[_Place]:
    with (
        node.vhost() as plain,
        running_s3() as server,
        server.bucket() as bucket,
        Session(plain.need_amqp(), name="bench") as session,
    ):
        settings = replace(plain, s3=server.access, bucket=bucket)
        session.call(topology.declare_control)
        session.call(partial(topology.declare_stream, stream=OUTPUT))
        session.call(partial(topology.declare_operation, operation=SINK))
        session.call(partial(topology.bind_operation, operation=SINK, stream=OUTPUT))
        yield _Place(settings, session, Objects(settings.s3))


def _fill(place: _Place) -> None:
    """Make the archive, and an object for each of some messages."""
    ids, each = MessageIds(), _COUNT // _SEGMENTS
    for start in range(0, _COUNT, each):
        file = BytesIO()
        writer = SegmentWriter(file)
        first_us = now_us()
        for number in range(start, start + each):
            us = now_us()
            message = Message(
                body(number),
                ids.next(),
                "text/plain",
                timestamp=us // 1_000_000,
                headers={PUBLISHED_US: us},
            )
            writer.write(record_of(message, arrived_us=us))
        writer.close()
        place.objects.put(place.bucket, SegmentKey(OUTPUT, first_us, "0").key, file.getvalue())
    with ThreadPoolExecutor(_THREADS) as pool:
        for number in range(_OBJECTS):
            pool.submit(place.objects.put, place.bucket, f"each/{number:06}", body(number))


def _published(place: _Place) -> Turn:
    return Turn(PUBLISH_LOOP, _COUNT / publish(place.settings, OUTPUT, range(_COUNT)))


def _played(place: _Place) -> Turn:
    """Play the archive, from its first message on: starting up doesn't count."""
    loop, ended = EventLoop(), list[StreamsError | None]()
    request = ReplayRequest(OUTPUT, OUTPUT)
    playback = playback_of(place.objects, place.bucket, request, None, print)
    player = Player(
        loop,
        place.settings.need_amqp(),
        request,
        playback,
        on_done=ended.append,
        say=print,
    )
    player.open()
    loop.run_until(lambda: player.sent > 0 or bool(ended))
    started_s, first, before_bytes = time.monotonic(), player.sent, memory_bytes("self", "VmRSS")
    loop.run_until(lambda: bool(ended))
    seconds = time.monotonic() - started_s
    more_bytes = max(0, memory_bytes("self", "VmRSS") - before_bytes)
    playback.close()
    loop.close()
    if ended != [None] or playback.problems:
        raise RuntimeError(f"the replay ended with {ended[0]}, {playback.problems}")
    return Turn(REPLAY, (_COUNT - first) / seconds, memory_bytes=more_bytes)


def _an_object_a_message(place: _Place) -> Turn:
    """What is often written by hand: each message got by itself, several at a time."""
    start_s = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        keys = (f"each/{number:06}" for number in range(_OBJECTS))
        for content in pool.map(partial(place.objects.get, place.bucket), keys):
            place.session.publish(f"streams.{OUTPUT}", Message(content))
    rate = _OBJECTS / (time.monotonic() - start_s)
    return Turn(f"an object for each message, {_THREADS} at a time", rate)


def _check(place: _Place) -> None:
    """Take all of it out again; a consumer left open would take the next one's."""
    with Session(place.settings.need_amqp(), name="check") as session:
        wait_for(session, _COUNT)
        bodies = drained(session)
        for number in range(_COUNT):
            if next(bodies) != body(number):
                raise RuntimeError(f"message {number} is missing, changed or out of order")


SCENARIO = Scenario(
    "replay",
    "How fast is an archive played onto a stream again?",
    PUBLISH_LOOP,
    replay,
    goals=(
        Goal(
            "20,000 msg/s, or 0.9 x the publish loop: what is nearer, as a share",
            share_of_either(20_000, 0.9, REPLAY, PUBLISH_LOOP),
            at_least=1,
        ),
        Goal("from its first message to its last: 64 MiB more", memory_mib(REPLAY), at_most=64),
    ),
    rounds=2,
)
