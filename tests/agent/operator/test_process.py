"""The operator process: its start, its end, and what it does with what came back to the queue."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from agent.protocol import ExitStatus
from streams.message import OBJECT_REFERENCE, Message
from tests.agent.operator.desk import Desk
from tests.eventually import eventually

MakeDesk = Callable[..., Desk]


def _bring_back(at: Desk, times: int) -> None:
    """Let each message in the queue be delivered and come back so many times."""
    count = at.waiting()
    for _ in range(times):

        def refuse(channel: Any) -> None:
            last = 0
            for _ in range(count):
                method, _properties, _body = channel.basic_get("operations.op")
                last = method.delivery_tag
            channel.basic_nack(last, multiple=True, requeue=True)

        at.session.call(refuse)
        eventually(lambda: at.waiting() == count)


def test_what_ended_its_operator_six_times_is_given_up(desk: MakeDesk) -> None:
    at = desk(exec="cat", started=False)
    at.publish(b"x")
    _bring_back(at, 6)
    at.start()
    (dead,) = at.dead()
    assert dead.headers["x-streamboss-reason"] == "ended its operator 6 times"
    at.publish(b"y")
    assert at.outputs(1)[0].body == b"y"


def test_what_came_back_three_times_is_taken_alone(desk: MakeDesk) -> None:
    at_once = "touch run.$$; sleep 0.3; ls run.* | wc -l; rm run.$$"
    at = desk(exec=at_once, started=False, concurrency=8)
    at.publish(*[b"x"] * 4)
    _bring_back(at, 3)
    at.publish(*[b"y"] * 4)
    at.start()
    counts = [int(m.body) for m in at.outputs(8)]
    assert counts[:4] == [1, 1, 1, 1]
    assert max(counts[4:]) > 1


@pytest.mark.parametrize(
    "fields",
    [
        {"concurrency": 2},
        {"process_type": "service", "replies": "one"},
        {"process_type": "service", "replies": "any"},
    ],
    ids=["single", "one", "any"],
)
def test_what_is_to_be_taken_alone_waits_for_those_before_it_and_no_longer(
    desk: MakeDesk, fields: dict[str, Any]
) -> None:
    at = desk(exec="cat", started=False, **fields)
    # as the broker would mark what came back behind what is new
    suspect = Message(b"suspect", headers={"x-delivery-count": 3})
    at.publish(b"before", b"before", suspect, b"after", suspect, suspect, b"last")
    at.start()
    bodies = [message.body for message in at.outputs(7)]
    assert bodies == [b"before"] * 2 + [b"suspect", b"after"] + [b"suspect"] * 2 + [b"last"]


def test_an_operator_that_dies_with_its_input_gives_it_up_and_nothing_else(desk: MakeDesk) -> None:
    # Given a program that kills its operator at one message
    kill = 'read l; [ "$l" = bad ] && kill -9 $PPID; echo "$l"'
    at = desk(exec=kill, started=False, concurrency=1)
    text = [Message(word, content_type="text/plain") for word in (b"a", b"bad", b"b", b"c")]
    at.publish(*text)
    # When it is started again whenever it has ended
    deaths = 0
    while not at.waiting("operations.op.dead"):
        at.start()
        assert at.process is not None
        try:
            at.process.wait(2)
            deaths += 1
        except subprocess.TimeoutExpired:
            continue
        finally:
            at.stop()
        assert deaths < 12
    # Then only the culprit is dead
    at.start()
    seen = {m.body for m in at.outputs(3)}
    # what was under way at a kill may come twice, and what was suspected comes late
    while not {b"a", b"b", b"c"} <= seen:
        seen |= {m.body for m in at.outputs(1)}
    assert seen == {b"a", b"b", b"c"}
    assert "ended its operator" in at.dead()[0].headers["x-streamboss-reason"]
    assert at.waiting("operations.op.dead") == 0


def test_a_reference_that_cannot_be_understood_is_given_up(desk: MakeDesk) -> None:
    at = desk(exec="cat")
    at.publish(Message(json.dumps({"bucket": "b"}).encode(), content_type=OBJECT_REFERENCE))
    (dead,) = at.dead()
    assert "key: is missing" in dead.headers["x-streamboss-reason"]
    assert dead.content_type == OBJECT_REFERENCE


def test_a_drain_finishes_what_was_delivered(desk: MakeDesk) -> None:
    at = desk(exec="sleep 0.2; cat", concurrency=2)
    at.publish(*[b"%d" % n for n in range(6)])
    at.outputs(1)
    eventually(lambda: at.waiting() == 0, what="all delivered")
    assert at.drain() == ExitStatus.DRAINED
    assert len(at.outputs(5)) == 5
    assert at.waiting() == 0


@pytest.mark.parametrize("kind", ["single", "service"])
def test_a_drain_gives_back_what_takes_too_long(desk: MakeDesk, kind: str) -> None:
    at = desk(exec="sleep 100", process_type=kind, retries=0)
    at.publish(b"x", b"y")
    eventually(lambda: at.counters.get("in_hand") == 2, what="both in hand")
    assert at.drain(0.3) == ExitStatus.DRAINED
    eventually(lambda: at.waiting() == 2, what="both back")
    assert at.waiting("operations.op.dead") == 0


def test_a_lost_connection_ends_the_operator(desk: MakeDesk) -> None:
    at = desk(exec="sleep 100")
    at.publish(b"x")
    at.until("running")
    at.session.call(lambda channel: channel.queue_delete("operations.op"))
    assert at.process is not None
    assert at.process.wait(10) == ExitStatus.LOST_CONNECTION


def test_a_missing_output_stream_ends_the_operator_and_keeps_the_input(desk: MakeDesk) -> None:
    at = desk(exec="cat", started=False)
    at.session.call(lambda channel: channel.exchange_delete("streams.b"))
    at.publish(b"x")
    at.start()
    assert at.process is not None
    assert at.process.wait(10) == ExitStatus.LOST_CONNECTION
    eventually(lambda: at.waiting() == 1, what="the input is back")


def test_what_nobody_collects_is_counted(desk: MakeDesk) -> None:
    at = desk(exec="cat", process_type="service", replies="one", started=False)
    at.session.call(lambda channel: channel.queue_unbind("operations.sink", "streams.b"))
    at.start()
    at.publish(b"x", b"y")
    eventually(lambda: at.counters.get("uncollected") == 2, what="both counted")
    eventually(lambda: at.counters.get("acknowledged") == 2, what="both acknowledged")


def test_large_messages_are_not_hoarded(desk: MakeDesk) -> None:
    at = desk(exec="sleep 0.5; wc -c", concurrency=1, started=False)
    at.publish(*[bytes(8_000_000)] * 12)
    at.start()
    assert at.outputs(1)[0].body.strip() == b"8000000"
    assert at.waiting() >= 6
