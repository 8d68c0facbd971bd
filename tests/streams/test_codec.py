"""The codec beside pika: the same bytes out, the same messages in, whatever is between."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pika import frame, spec
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import InvalidFrameError, ShortStringTooLong

from streams.broker import Delivered, EventLoop, LoopConnection, Session, arrivals, codec
from streams.broker.arrivals import Incoming
from streams.broker.codec import Encoder, Outgoing
from streams.broker.fields import FarTime, Int64
from streams.broker.wire import Consumer, Wire
from streams.errors import BrokerError
from streams.settings import Settings

CHANNEL, CONSUMER, CANCELLED = 1, "ctag1.0123456789abcdef", "ctag1.fedcba9876543210"
OPENED = 5  # pika's Connection.CONNECTION_OPEN
MOST_BYTES = 4096 - 8

_short = st.text(st.characters(codec="utf-8"), max_size=30)
_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([-(2**31) - 1, -(2**31), 2**31 - 1, 2**31])
    | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.binary(max_size=20)
    | st.integers(0, 2**37).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    | st.integers(2**50, 2**63).map(FarTime),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_short, inner, max_size=3),
    max_leaves=5,
)
_headers = st.none() | st.dictionaries(_short, _value, max_size=4)
_time = st.none() | st.integers(0, 2**64 - 1)
_outgoing = st.builds(
    Outgoing, st.none() | _short, _headers, st.none() | _short, st.none() | _short, _time
)
_any_properties = _outgoing | st.builds(
    pika.BasicProperties,
    content_type=st.none() | _short,
    content_encoding=st.none() | _short,
    headers=_headers,
    delivery_mode=st.none() | st.integers(0, 255),
    priority=st.none() | st.integers(0, 255),
    reply_to=st.none() | _short,
    expiration=st.none() | _short,
    timestamp=_time,
    app_id=st.none() | _short,
    cluster_id=st.none() | _short,
)
_body = st.binary(max_size=50) | st.integers(0, 3 * MOST_BYTES + 1).map(lambda size: b"x" * size)


class _Sends(pika.SelectConnection):
    """Pika without a socket: keeps what it would send."""

    def __init__(self, **_options: Any) -> None:
        super().__init__(custom_ioloop=IOLoop(), internal_connection_workflow=False)
        self.sent = bytearray()
        self._body_max_length = MOST_BYTES
        self._set_connection_state(OPENED)

    def _adapter_emit_data(self, data: bytes) -> None:
        self.sent += data


class _Hears(Wire, _Sends):
    """Ours without a socket."""

    _adapter_emit_data = _Sends._adapter_emit_data


Heard = list[tuple[Any, ...]]


def _open(connection: Any, heard: Heard, *, shortcut: bool = False) -> None:
    """Give it a channel with a consumer, one that is cancelled, and confirms."""
    channel = Channel(connection, CHANNEL, lambda _channel: None)
    channel._set_state(Channel.OPEN)
    connection._channels[CHANNEL] = channel
    connection._add_channel_callbacks(CHANNEL)

    def delivered(came: Delivered) -> None:
        seen = {name: getattr(came.properties, name) for name in vars(pika.BasicProperties())}
        heard.append((came.tag, came.redelivered, came.exchange, seen, came.body))

    def confirmed(number: int, multiple: bool, taken: bool) -> None:
        heard.append((number, multiple, taken))

    def answered(answer: Any) -> None:
        method = answer.method
        confirmed(method.delivery_tag, method.multiple, isinstance(method, spec.Basic.Ack))

    channel._consumers = {CONSUMER: Consumer(delivered), CANCELLED: Consumer(delivered)}
    channel._cancelled.add(CANCELLED)
    for method in (spec.Basic.Ack, spec.Basic.Nack):
        channel.callbacks.add(CHANNEL, method, answered, one_shot=False)
    channel.add_on_return_callback(
        lambda _c, method, _p, body: heard.append((method.exchange, body))
    )
    if shortcut:
        assert connection.shortcut(channel, confirmed) is not None


def _content(method: Any, properties: pika.BasicProperties, body: bytes) -> bytes:
    """Return a method with its content, as pika sends it."""
    by_pika = _Sends()
    by_pika._send_message(CHANNEL, method, (properties, body))
    by_pika.ioloop.close()
    return bytes(by_pika.sent)


def _method(method: Any) -> bytes:
    return frame.Method(CHANNEL, method).marshal()


@examples(max_examples=60)
@given(_any_properties, _body, _short, _short, st.booleans())
def test_a_published_message_has_the_same_bytes_as_pikas(
    properties: pika.BasicProperties, body: bytes, exchange: str, key: str, mandatory: bool
) -> None:
    ours = Encoder(CHANNEL, MOST_BYTES).encode(exchange, key, properties, body, mandatory)
    method = spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
    assert ours == _content(method, properties, body)


@examples(max_examples=40)
@given(
    st.lists(st.tuples(_short | st.just("i" * 36), _body), min_size=1, max_size=4),
    _outgoing,
    st.booleans(),
)
def test_messages_that_are_alike_have_the_same_bytes_as_each_alone(
    messages: list[tuple[str, bytes]], properties: Outgoing, mandatory: bool
) -> None:
    encoder, (ids, bodies) = Encoder(CHANNEL, MOST_BYTES), zip(*messages, strict=True)
    ours = encoder.encode_alike("e", "key", properties, ids, bodies, mandatory=mandatory)
    assert ours == b"".join(
        encoder.encode("e", "key", codec.with_id(properties, one), body, mandatory)
        for one, body in messages
    )


@pytest.mark.parametrize("size", [0, 1, MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 3 * MOST_BYTES])
def test_bodies_around_the_size_of_a_frame_have_the_same_bytes_as_pikas(size: int) -> None:
    properties = Outgoing("text/plain", {}, "id", None, 1)
    ours = Encoder(CHANNEL, MOST_BYTES).encode("e", "", properties, b"x" * size, True)
    publish = spec.Basic.Publish(exchange="e", routing_key="", mandatory=True)
    assert ours == _content(publish, properties, b"x" * size)


def test_what_pika_refuses_to_send_is_refused() -> None:
    encode = Encoder(CHANNEL, MOST_BYTES).encode
    for properties in (
        Outgoing("x" * 256, None, None, None, None),
        Outgoing(None, None, "x" * 256, None, None),
        Outgoing(None, {"x" * 256: 1}, None, None, None),
    ):
        with pytest.raises(ShortStringTooLong):
            encode("e", "", properties, b"", True)


_deliver = st.builds(
    spec.Basic.Deliver,
    consumer_tag=st.sampled_from([CONSUMER, CONSUMER, CONSUMER, CANCELLED, "unknown"]),
    delivery_tag=st.integers(1, 2**63),
    redelivered=st.booleans(),
    exchange=_short,
    routing_key=_short,
)
_returned = st.builds(
    spec.Basic.Return, reply_code=st.just(312), exchange=_short, routing_key=_short
)
_ack = st.builds(spec.Basic.Ack, st.integers(1, 2**63), st.booleans())
_nack = st.builds(spec.Basic.Nack, st.integers(1, 2**63), st.booleans())
_frames = st.one_of(
    st.builds(_content, _deliver, _any_properties, _body),
    st.builds(_content, _returned, _any_properties, _body),
    st.builds(_method, _ack | _nack),
    st.just(frame.Heartbeat().marshal()),
)


def _fed(connection: Any, heard: Heard, stream: bytes, cuts: list[int]) -> tuple[Heard, bytes, int]:
    """Return what is heard of a stream of bytes that comes in pieces, and what is answered."""
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(places):
        connection._on_data_available(stream[start:end])
    connection.ioloop.close()
    return heard, bytes(connection.sent), connection.bytes_received


@examples(max_examples=60)
@given(st.lists(_frames, max_size=6).map(b"".join), st.lists(st.integers(0, 100_000), max_size=5))
def test_any_stream_of_frames_in_any_pieces_is_heard_as_pika_hears_it(
    stream: bytes, cuts: list[int]
) -> None:
    by_pika, ours = _Sends(), _Hears()
    heard_by_pika, heard = Heard(), Heard()
    _open(by_pika, heard_by_pika)
    _open(ours, heard, shortcut=True)
    assert _fed(ours, heard, stream, cuts) == _fed(by_pika, heard_by_pika, stream, cuts)


def test_every_cut_of_a_delivery_is_heard_as_pika_hears_it() -> None:
    deliver = spec.Basic.Deliver(CONSUMER, 7, redelivered=True, exchange="e", routing_key="")
    properties = pika.BasicProperties(headers={"x-delivery-count": 2}, message_id="id")
    stream = _content(deliver, properties, b"body") + _method(spec.Basic.Ack(3, multiple=True))
    for cut in range(len(stream)):
        ours, heard = _Hears(), Heard()
        _open(ours, heard, shortcut=True)
        _fed(ours, heard, stream, [cut])
        assert [each[:2] for each in heard] == [(7, True), (3, True)]
        assert heard[0][-1] == b"body"


@pytest.mark.parametrize("of", ["method", "header", "body"])
def test_a_frame_without_its_end_is_refused_as_pika_refuses_it(of: str) -> None:
    deliver = spec.Basic.Deliver(CONSUMER, 7, redelivered=False, exchange="e", routing_key="")
    stream = bytearray(_content(deliver, pika.BasicProperties(), b"body"))
    method = arrivals.whole(bytes(stream), 0)
    ends = {"method": method, "header": arrivals.whole(bytes(stream), method), "body": len(stream)}
    stream[ends[of] - 1] = 0
    ours, heard = _Hears(), Heard()
    _open(ours, heard, shortcut=True)
    with pytest.raises(InvalidFrameError):
        ours._on_data_available(bytes(stream))
    ours.ioloop.close()
    assert heard == []


def test_properties_are_decoded_when_somebody_looks() -> None:
    sent = pika.BasicProperties(content_type="text/plain", headers={"a": 1}, app_id="me")
    came = Incoming(b"".join(sent.encode()))
    assert came.content_type == "text/plain"
    assert "headers" not in vars(came)
    assert (came.headers, came.app_id, came.message_id) == ({"a": 1}, "me", None)
    with pytest.raises(AttributeError):
        _ = came.nonsense


def test_the_pika_that_is_installed_is_one_that_we_know() -> None:
    ours = _Hears()
    _open(ours, Heard(), shortcut=True)
    ours.ioloop.close()


@contextmanager
def _another_pika() -> Iterator[None]:
    """Let an internal part that we rely on be missing."""
    known = codec.INTERNALS["channel"]
    codec.INTERNALS["channel"] = (*known, "_gone_in_a_later_version")
    try:
        yield
    finally:
        codec.INTERNALS["channel"] = known


BODIES = [b"x" * size for size in (0, 1, 100, 131_064, 131_065, 500_000)]
IDS = [f"alike-{number}" for number in range(len(BODIES))]
ALIKE = Outgoing("text/plain", None, None, "correlated", 1)


class _RoundTrip:
    """Publishes bodies to a queue, and consumes it when all are confirmed."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        self.came = list[Delivered]()
        self.errors = list[BrokerError]()
        self._confirmed = set[int]()
        self._loop = EventLoop()
        self._link = LoopConnection(
            self._loop, urls, name="test", on_ready=self._publish, on_lost=self.errors.append
        )
        self._link.on_confirm = self._note_confirm
        self._loop.call_later(20, self._loop.stop)
        self._loop.run()
        self._loop.close()

    def _publish(self) -> None:
        for number, body in enumerate(BODIES):
            properties = Outgoing("text/plain", {"n": number}, f"id-{number}", None, 1)
            self._link.publish("", "q", properties, body)
        assert self._link.publish_alike("", "q", ALIKE, IDS, BODIES) == len(BODIES) + 1

    def _note_confirm(self, number: int, multiple: bool, taken: bool) -> None:
        assert taken
        self._confirmed.update(range(1, number + 1) if multiple else [number])
        if len(self._confirmed) == 2 * len(BODIES):
            self._link.consume("q", self._deliver, prefetch=100, on_cancelled=self._loop.stop)

    def _deliver(self, delivered: Delivered) -> None:
        self.came.append(delivered)
        if len(self.came) == 2 * len(BODIES):
            self._link.ack(delivered.tag, multiple=True)
            self._link.flush("q", lambda: self._link.close(self._loop.stop))


@pytest.mark.parametrize("known", [True, False], ids=["the pika we know", "another pika"])
def test_messages_of_all_sizes_go_through_a_broker_whatever_pika_is_inside(
    known: bool, settings: Settings, session: Session
) -> None:
    session.call(lambda channel: channel.queue_declare("q", durable=True))
    with nullcontext() if known else _another_pika():
        trip = _RoundTrip(settings.need_amqp())
    assert not trip.errors
    assert [each.body for each in trip.came] == 2 * BODIES
    came = [each.properties for each in trip.came]
    assert [(each.headers, each.message_id, each.correlation_id) for each in came] == [
        *(({"n": number}, f"id-{number}", None) for number in range(len(BODIES))),
        *((None, one, "correlated") for one in IDS),
    ]
    assert isinstance(trip.came[0].properties, Incoming) is known
