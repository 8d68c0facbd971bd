"""The broker's two faces, against a real RabbitMQ."""

import socket
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pika
import pytest
from pika.adapters.utils.nbio_interface import AbstractStreamProtocol
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

from streams.broker import (
    BrokerThread,
    Delivered,
    EventLoop,
    LoopConnection,
    Session,
    patience,
    topology,
)
from streams.broker.addresses import parameters
from streams.broker.feed import Feed
from streams.broker.fields import FarTime
from streams.errors import (
    BrokerError,
    BrokerRefusedError,
    BrokerUnreachableError,
    StreamMissingError,
)
from streams.management import Management
from streams.message import Message
from streams.settings import Settings
from tests.chaos.wire import Wire
from tests.rabbit import BrokerNode


def test_a_published_message_reaches_a_bound_queue_with_id_and_time(session: Session) -> None:
    session.call(topology.declare_control)
    session.call(lambda channel: topology.declare_stream(channel, "a"))
    session.call(lambda channel: topology.declare_operation(channel, "op"))
    session.call(lambda channel: topology.bind_operation(channel, "op", "a"))

    assert session.publish("streams.a", Message(b"hello", content_type="text/plain"))

    method, properties, body = session.call(lambda c: c.basic_get("operations.op", auto_ack=True))
    assert body == b"hello"
    assert properties is not None
    assert properties.message_id is not None
    assert properties.headers is not None
    assert properties.message_id[14] == "7"
    assert properties.headers["x-streamboss-published-us"] // 1_000_000 == properties.timestamp


def test_what_nobody_collects_is_said(session: Session) -> None:
    session.call(lambda channel: topology.declare_stream(channel, "a"))
    assert session.publish("streams.a", Message(b"x")) is False


def test_a_missing_stream_is_named_with_the_command_that_creates_it(session: Session) -> None:
    with pytest.raises(StreamMissingError, match="'streamboss create-stream nope'"):
        session.call(lambda channel: topology.check_stream(channel, "nope"))


def test_a_session_goes_on_after_a_refusal_and_after_a_lost_connection(session: Session) -> None:
    with pytest.raises(StreamMissingError):
        session.publish("streams.nope", Message(b"x"))
    session.call(lambda channel: topology.declare_stream(channel, "a"))
    session.connection._impl._transport._sock.shutdown(2)  # type: ignore[union-attr]
    assert session.publish("streams.a", Message(b"x")) is False


def test_nobody_there_is_one_clear_line() -> None:
    url = "amqp://someone:secret@127.0.0.1:1/"
    with (
        Session([url], name="test", patience_s=0.2) as session,
        pytest.raises(
            BrokerUnreachableError, match=r"amqp://127.0.0.1:1/: not reachable"
        ) as caught,
    ):
        session.publish("streams.a", Message(b"x"))
    assert "secret" not in str(caught.value)


def test_somebody_who_never_answers_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://someone:secret@127.0.0.1:{silent.getsockname()[1]}/"
        with (
            Session([url], name="test", patience_s=0.2) as session,
            pytest.raises(BrokerUnreachableError, match=r"not reachable \(no answer in time\)"),
        ):
            session.publish("streams.a", Message(b"x"))


def test_a_wrong_password_is_refused_at_once(settings: Settings) -> None:
    url = settings.need_amqp()[0].replace("test:", "test:wrong")
    with (
        Session([url], name="test") as session,
        pytest.raises(BrokerRefusedError, match="user or password was refused") as caught,
    ):
        _ = session.channel
    assert "wrong" not in str(caught.value)


def test_the_loop_face_consumes_publishes_and_hears_confirms(
    settings: Settings, session: Session
) -> None:
    # Given an operation's queue with a thousand messages
    session.call(topology.declare_control)
    session.call(lambda channel: topology.declare_stream(channel, "b"))
    session.call(lambda channel: topology.declare_operation(channel, "op"))
    session.call(lambda channel: topology.declare_operation(channel, "sink"))
    session.call(lambda channel: topology.bind_operation(channel, "sink", "b"))
    session.call(lambda channel: topology.bind_operation(channel, "op", "b"))
    for number in range(100):
        session.publish("streams.b", Message(b"%d" % number))
    session.call(lambda channel: channel.queue_purge("operations.sink"))
    session.call(lambda channel: topology.unbind_operation(channel, "op", "b"))

    # When a loop relays them and acknowledges after the confirm
    loop = EventLoop()
    confirmed, errors = [0], list[BrokerError]()
    tags = list[int]()

    def deliver(delivered: Delivered) -> None:
        tags.append(delivered.tag)
        link.publish("streams.b", "", pika.BasicProperties(), delivered.body)

    def confirm(number: int, multiple: bool, taken: bool) -> None:
        assert taken
        confirmed[0] = number if multiple else confirmed[0] + 1
        if confirmed[0] >= 100:
            link.ack(tags[-1], multiple=True)
            link.flush("operations.op", lambda: link.close(loop.stop))

    def ready() -> None:
        link.consume("operations.op", deliver, prefetch=100, on_cancelled=loop.stop)

    def lost(error: BrokerError) -> None:
        errors.append(error)
        loop.stop()

    link = LoopConnection(loop, settings.need_amqp(), name="relay", on_ready=ready, on_lost=lost)
    link.on_confirm = confirm
    loop.call_later(10, loop.stop)
    loop.run()

    # Then all are there, and the input is empty
    assert not errors
    assert [
        session.call(lambda c: c.basic_get("operations.sink", auto_ack=True))[2] for _ in range(100)
    ] == [b"%d" % n for n in range(100)]
    assert (
        session.call(lambda c: c.queue_declare("operations.op", passive=True)).method.message_count
        == 0
    )
    loop.close()


def fill(session: Session, count: int) -> None:
    """Put so many messages into an operation's queue."""
    session.call(topology.declare_control)
    session.call(lambda channel: topology.declare_stream(channel, "in"))
    session.call(lambda channel: topology.declare_operation(channel, "op"))
    session.call(lambda channel: topology.bind_operation(channel, "op", "in"))
    for number in range(count):
        session.publish("streams.in", Message(b"%d" % number))


def emptied(session: Session) -> list[bytes]:
    """Take everything out of that queue, in its order."""

    def take() -> bytes | None:
        return session.call(lambda channel: channel.basic_get("operations.op", auto_ack=True))[2]

    return list(iter(take, None))


def test_what_is_on_its_way_to_a_cancelled_consumer_is_delivered_and_order_stays(
    settings: Settings, session: Session
) -> None:
    # Given a queue of 50, and somebody who cancels at the first of ten that come together
    fill(session, 50)
    loop, got = EventLoop(), list[bytes]()
    tags, errors = list[str](), list[BrokerError]()

    def deliver(delivered: Delivered) -> None:
        if not got:
            link.cancel(tags[0], loop.stop)
        got.append(delivered.body)

    def ready() -> None:
        tags.append(link.consume("operations.op", deliver, prefetch=10, on_cancelled=lambda: None))

    link = LoopConnection(
        loop, settings.need_amqp(), name="test", on_ready=ready, on_lost=errors.append
    )
    loop.call_later(10, loop.stop)
    loop.run()
    # Then the ten are delivered, and with the connection they go back to the queue's front
    assert got == [b"%d" % number for number in range(10)]
    link.close(loop.stop)
    loop.run()
    loop.close()
    assert not errors
    assert emptied(session) == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize("way", ["connection", "feed"])
def test_who_closes_with_a_consumer_gives_back_what_is_on_its_way_in_order(
    settings: Settings, session: Session, way: str
) -> None:
    fill(session, 200)
    loop, got, errors = EventLoop(), list[bytes](), list[BrokerError]()

    feeds = list[Feed]()

    def deliver(delivered: Delivered) -> None:
        got.append(delivered.body)
        if len(got) < 20:
            (feeds[0] if feeds else link).ack(delivered.tag)
        elif len(got) == 20:
            for feed in feeds:
                feed.close()
            link.close(loop.stop)

    def ready() -> None:
        if way == "feed":
            feeds.append(
                Feed(link, "operations.op", prefetch=50, on_fed=deliver, on_ended=errors.append)
            )
        else:
            link.consume("operations.op", deliver, prefetch=50, on_cancelled=lambda: None)

    link = LoopConnection(
        loop, settings.need_amqp(), name="test", on_ready=ready, on_lost=errors.append
    )
    loop.call_later(10, loop.stop)
    loop.run()
    loop.close()
    assert not errors
    assert emptied(session) == [b"%d" % number for number in range(19, 200)]


def test_the_loop_face_says_why_it_could_not_connect() -> None:
    loop, errors = EventLoop(), list[BrokerError]()

    def lost(error: BrokerError) -> None:
        errors.append(error)
        loop.stop()

    LoopConnection(
        loop, ["amqp://x:secret@127.0.0.1:1/"], name="x", on_ready=loop.stop, on_lost=lost
    )
    loop.call_later(10, loop.stop)
    loop.run()
    assert isinstance(errors[0], BrokerUnreachableError)
    loop.close()


def test_a_broker_thread_serves_calls_and_comes_back_after_a_lost_connection(
    settings: Settings,
) -> None:
    channels = list[object]()
    thread = BrokerThread(settings.need_amqp(), name="test", on_channel=channels.append)
    thread.start()
    thread.call(lambda s: s.call(lambda channel: topology.declare_stream(channel, "a")))
    assert thread.connected
    with pytest.raises(StreamMissingError):
        thread.call(lambda s: s.publish("streams.nope", Message(b"x")))
    thread.call(lambda s: s.connection.close())
    assert thread.call(lambda s: s.publish("streams.a", Message(b"x"))) is False
    assert len(channels) >= 3
    thread.stop()


def test_a_broker_thread_without_a_broker_refuses_calls_and_does_not_hang() -> None:
    thread = BrokerThread(["amqp://u:secret@127.0.0.1:1/"], name="test")
    thread.start()
    with pytest.raises(BrokerUnreachableError, match="not reachable"):
        thread.call(lambda s: s.publish("streams.a", Message(b"x")))
    assert not thread.connected
    thread.stop()


def test_doubles_and_far_times_in_headers_pass_through(session: Session) -> None:
    session.call(lambda channel: channel.queue_declare("q", exclusive=True))
    milliseconds = FarTime(1_700_000_000_000)
    sent = {"a": 0.1, "b": [1e46, {"c": -0.5}], "d": 1, "f": milliseconds}
    properties = pika.BasicProperties(headers=sent)
    session.call(lambda channel: channel.basic_publish("", "q", b"", properties))
    _, came, _ = session.call(lambda channel: channel.basic_get("q", auto_ack=True))
    assert came is not None
    assert came.headers == sent
    assert isinstance(came.headers["a"], float)
    assert isinstance(came.headers["f"], FarTime)


def test_of_a_clusters_management_apis_the_first_that_answers_is_asked(
    broker_node: BrokerNode,
) -> None:
    there, login = broker_node.node.api_url, broker_node.node
    urls = f"http://127.0.0.1:1,{there}"
    with Management(urls, user=login.user, password=login.password) as management:
        assert management.alive()
    with (
        Management("http://127.0.0.1:1,http://127.0.0.1:2", user="", password="") as management,
        pytest.raises(
            BrokerUnreachableError, match=r"127.0.0.1:2,http.*:1: not reachable.*BROKER_API_URL"
        ),
    ):
        management.queues()


def test_an_addresss_own_heartbeat_counts() -> None:
    assert parameters("amqp://h/?heartbeat=3", "name").heartbeat == 3
    assert parameters("amqp://h/", "name").heartbeat == 10


def test_a_line_that_is_reset_at_once_is_an_attempt_that_failed() -> None:
    failed: list[object] = []
    loop = EventLoop()
    services = SelectorIOServicesAdapter(loop.io)
    # what pika is given when the line was reset since it was made
    services.create_streaming_connection(
        AbstractStreamProtocol, socket.socket(), on_done=failed.append
    )
    loop.run_until(lambda: bool(failed))
    loop.close()
    assert isinstance(failed[0], ConnectionResetError)


def test_both_faces_stand_a_server_that_resets_everybody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"amqp://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=_reset_all, args=[listener], daemon=True).start()
        for _ in range(20):
            assert isinstance(_lost(url), BrokerUnreachableError)
            with pytest.raises(BrokerUnreachableError):
                _ = Session([url], name="test", patience_s=0).channel
        listener.shutdown(socket.SHUT_RDWR)


def _lost(url: str) -> BrokerError:
    lost: list[BrokerError] = []
    loop = EventLoop()
    LoopConnection(loop, [url], name="test", on_ready=loop.stop, on_lost=lost.append)
    loop.run_until(lambda: bool(lost))
    loop.close()
    return lost[0]


def _reset_all(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            line, _ = listener.accept()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()


def test_a_confirm_that_never_comes_ends_the_line_in_both_faces(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LOOK_S", 0.5)
    session.call(lambda channel: topology.declare_stream(channel, "s"))
    port = urlsplit(settings.need_amqp()[0]).port
    assert port is not None
    wire = Wire(("127.0.0.1", port))
    url = settings.need_amqp()[0].replace(f":{port}/", f":{wire.port}/")
    lost: list[BrokerError] = []
    loop = EventLoop()
    connection = LoopConnection(loop, [url], name="test", on_ready=loop.stop, on_lost=lost.append)
    loop.run()
    connection.watch_confirms(lambda: 1)
    wire.cut("half-open", 0)
    connection.publish("streams.s", "", pika.BasicProperties(), b"x")
    loop.run_until(lambda: bool(lost))
    loop.close()
    assert "isn't confirmed" in str(lost[0])
    with Session([url], name="test", patience_s=0) as blocking:
        _ = blocking.channel
        wire.cut("half-open", 0)
        with pytest.raises(BrokerUnreachableError, match="isn't confirmed"):
            blocking.publish("streams.s", Message(b"x"))
    wire.close()
