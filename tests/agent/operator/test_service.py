"""`service` through a real operator process on a real broker."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from streams.message import Message
from tests.agent.operator.desk import Desk
from tests.eventually import eventually

MakeDesk = Callable[..., Desk]
NUMBERS = [b"%d" % n for n in range(300)]

#: Ends with status 3 at the line `die`, without an answer to it; else answers in capitals.
DIES = """python3 -c '
import sys
for line in sys.stdin:
    if line == "die\\n":
        sys.exit(3)
    print(line.upper(), end="")
'"""


def test_one_answer_each_in_order_with_the_inputs_identity(desk: MakeDesk) -> None:
    at = desk(exec="cat", process_type="service", replies="one")
    at.publish(*[Message(n, message_id=n.decode(), headers={"n": int(n)}) for n in NUMBERS])
    outputs = at.outputs(300)
    assert [m.body for m in outputs] == NUMBERS
    assert [m.message_id for m in outputs] == [n.decode() for n in NUMBERS]
    assert outputs[7].headers["n"] == 7
    assert outputs[7].content_type == "text/plain"
    assert at.drain() == 0
    assert at.waiting() == 0


def test_answers_that_leave_together_keep_what_is_their_own(desk: MakeDesk) -> None:
    at = desk(exec="cat", process_type="service", replies="one")
    own: list[dict[str, Any]] = [
        {"message_id": "a" * 36},
        {"message_id": "b" * 36},
        {"correlation_id": "x"},
        {"correlation_id": "y", "message_id": "short"},
        {"headers": {"n": 1}},
        {"headers": {"n": True}},
        {"headers": {"n": 1.0}},
        {},
    ]
    inputs = [Message(b"%d" % n, **own[n % len(own)]) for n in range(200)]
    at.publish(*inputs)
    outputs = at.outputs(200)
    assert [m.body for m in outputs] == [m.body for m in inputs]
    for sent, came in zip(inputs, outputs, strict=True):
        assert came.correlation_id == sent.correlation_id
        assert sent.message_id in {None, came.message_id}
        assert repr(came.headers.get("n")) == repr(sent.headers.get("n"))
    assert len({m.message_id for m in outputs}) == 125 + 3


@pytest.mark.parametrize("replies", ["one", "any"])
def test_outputs_that_are_no_text_say_so_among_those_that_are(desk: MakeDesk, replies: str) -> None:
    at = desk(exec="cat", process_type="service", replies=replies)
    at.publish(*[b"caf\xc3\xa9 %d" % n if n % 3 else b"\xff %d" % n for n in range(100)])
    types = [m.content_type for m in at.outputs(100)]
    octets, text = "application/octet-stream", "text/plain"
    assert types == [text if n % 3 else octets for n in range(100)]


@pytest.mark.parametrize("replies", ["one", "any"])
def test_the_culprit_of_a_crash_is_found_and_its_neighbours_come_through(
    desk: MakeDesk, replies: str
) -> None:
    at = desk(exec=DIES, process_type="service", replies=replies, retries=1)
    at.publish(b"a", b"b", b"die", b"c", b"d")
    (dead,) = at.dead()
    assert (dead.body, dead.headers["x-streamboss-attempts"]) == (b"die", 2)
    assert dead.headers["x-streamboss-exit-status"] == "3"
    seen: list[bytes] = []
    while b"D" not in seen:
        seen += [m.body for m in at.outputs(1)]
    assert list(dict.fromkeys(seen)) == [b"A", b"B", b"C", b"D"]
    assert at.drain() == 0
    assert at.waiting() == 0


@pytest.mark.parametrize(
    "program", ["cat", "sed -u s/x/x/", "python3 -c 'for l in open(0): print(l, end=\"\")'"]
)
def test_any_number_of_replies_in_windows(desk: MakeDesk, program: str) -> None:
    at = desk(exec=program, process_type="service")
    at.publish(*NUMBERS)
    outputs = at.outputs(300)
    assert [m.body for m in outputs] == NUMBERS
    assert len({m.message_id for m in outputs}) == 300
    eventually(lambda: at.counters.get("acknowledged") == 300, what="all acknowledged")
    assert at.drain() == 0
    assert at.waiting() == 0


def test_what_a_pipeline_drops_is_acknowledged_all_the_same(desk: MakeDesk) -> None:
    at = desk(exec="grep --line-buffered 7 | tr 7 x", process_type="service")
    at.publish(*NUMBERS[:100])
    assert len(at.outputs(19)) == 19
    eventually(lambda: at.counters.get("acknowledged") == 100, what="all acknowledged")


def test_a_program_at_work_is_not_taken_for_one_that_is_done(desk: MakeDesk) -> None:
    at = desk(
        exec='while read l; do sleep 1; echo "$l"; done', process_type="service", settle_s=0.1
    )
    at.publish(b"a")
    assert at.outputs(1)[0].body == b"a"
    assert at.process is not None
    # else the second may come into the first one's window, and the kill takes both
    eventually(lambda: at.counters.get("acknowledged") == 1, what="acknowledged")
    at.publish(b"b")
    eventually(lambda: at.counters.get("received") == 2, what="received")
    at.process.send_signal(signal.SIGKILL)
    at.process.wait()
    at.stop()
    at.start()
    assert at.outputs(1)[0].body == b"b"


def test_a_killed_program_loses_nothing(desk: MakeDesk) -> None:
    at = desk(exec="echo $$ >&2; exec sed -u s/a/b/", process_type="service", replies="one")
    at.publish(*[b"a%d" % n for n in range(200)])
    pid = int(eventually(lambda: at.logged, what="its pid")[0])
    os.kill(pid, signal.SIGKILL)
    at.publish(*[b"a%d" % n for n in range(200, 400)])
    assert [m.body for m in at.outputs(400)] == [b"b%d" % n for n in range(400)]


def test_a_crash_loop_is_said_with_its_last_stderr_and_burns_nothing(desk: MakeDesk) -> None:
    at = desk(exec="echo no configuration >&2; exit 2", process_type="service")
    at.publish(b"a", b"b")
    assert at.until("failed") == "the program ended: exit status 2: no configuration"
    assert at.waiting("operations.op.dead") == 0
    assert at.drain() == 0
    assert at.waiting() == 2


def test_a_silent_service_is_ended_and_its_message_given_up(desk: MakeDesk) -> None:
    at = desk(exec="sleep 100", process_type="service", replies="one", timeout=0.5, retries=0)
    at.publish(b"a")
    assert "within 0.5 s" in at.dead()[0].headers["x-streamboss-reason"]


def test_workers_share_and_answers_stay_in_order(desk: MakeDesk) -> None:
    at = desk(
        exec='while read l; do sleep 0.0$l; echo "$l"; done',
        process_type="service",
        replies="one",
        concurrency=3,
    )
    at.publish(*[b"%d" % (n % 10) for n in range(40)])
    assert [m.body for m in at.outputs(40)] == [b"%d" % (n % 10) for n in range(40)]


def test_windows_of_several_workers_leave_in_order(desk: MakeDesk) -> None:
    at = desk(exec="sed -u s/x/x/", process_type="service", concurrency=3)
    at.publish(*NUMBERS)
    assert [m.body for m in at.outputs(300)] == NUMBERS


def test_what_a_program_says_at_the_end_of_its_input_is_published(desk: MakeDesk) -> None:
    at = desk(exec="sort -r", process_type="service")
    at.publish(b"a", b"b")
    eventually(lambda: at.counters.get("acknowledged") == 2, what="both acknowledged")
    assert at.drain() == 0
    assert [m.body for m in at.outputs(2)] == [b"b", b"a"]
