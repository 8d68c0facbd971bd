"""`single` through a real operator process on a real broker."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.message import Message
from tests.agent.operator.desk import Desk

MakeDesk = Callable[..., Desk]


def test_a_text_goes_through_as_a_line_and_keeps_its_identity(desk: MakeDesk) -> None:
    at = desk(exec="tr [a-z] [A-Z]")
    at.publish(
        Message(
            b"Some other text",
            message_id="one",
            content_type="text/plain",
            correlation_id="c",
            headers={"mine": "kept", "x-streamboss-replay": "1", "x-death": [{}]},
        )
    )
    (output,) = at.outputs(1)
    assert output.body == b"SOME OTHER TEXT"
    assert (output.message_id, output.correlation_id) == ("one", "c")
    assert output.content_type == "text/plain"
    # the count is the sink's own queue's
    assert set(output.headers) - {"x-delivery-count"} == {"mine", "x-streamboss-published-us"}
    assert at.drain() == 0
    assert at.waiting() == 0
    assert at.state() == ("stopped", "")


def test_outputs_leave_in_the_order_of_their_inputs(desk: MakeDesk) -> None:
    at = desk(exec="read n; sleep 0.$n; echo $n", concurrency=4)
    at.publish(*[Message(b"%d" % (9 - n), content_type="text/plain") for n in range(8)])
    assert [m.body for m in at.outputs(8)] == [b"%d" % (9 - n) for n in range(8)]


def test_what_fails_is_tried_again_and_then_given_up_with_its_reason(desk: MakeDesk) -> None:
    at = desk(exec='echo "attempt $STREAMBOSS_ATTEMPT" >&2; exit 3', retries=2)
    at.publish(Message(b"bad", message_id="one", content_type="text/plain"))
    (dead,) = at.dead()
    assert (dead.body, dead.message_id) == (b"bad", "one")
    assert dead.headers["x-streamboss-reason"] == "exit status 3"
    assert dead.headers["x-streamboss-exit-status"] == "3"
    assert dead.headers["x-streamboss-attempts"] == 3
    assert dead.headers["x-streamboss-stderr"] == "attempt 3\n"
    assert at.drain() == 0
    assert at.waiting() == 0
    assert at.logged == ["attempt 1", "attempt 2", "attempt 3"]


def test_bad_data_is_given_up_at_once(desk: MakeDesk) -> None:
    at = desk(exec="exit 65", retries=5)
    at.publish(b"x")
    assert at.dead()[0].headers["x-streamboss-attempts"] == 1


def test_a_program_that_cannot_be_run_burns_no_message(desk: MakeDesk) -> None:
    at = desk(exec="/nowhere/program")
    at.publish(b"x")
    assert at.until("failed") == "program '/nowhere/program' doesn't exist"
    assert at.waiting() == 1


def test_status_127_fails_the_operation_and_keeps_the_message(desk: MakeDesk) -> None:
    at = desk(exec="[ -e fixed ] || { no-such-command-here; exit 127; }; cat", retries=0)
    at.publish(b"x")
    assert "no-such-command-here" in at.until("failed")
    (at.scratch / "fixed").touch()
    assert at.outputs(1)[0].body == b"x"
    at.until("running")


def test_a_time_out_ends_the_whole_group(desk: MakeDesk) -> None:
    at = desk(exec="sleep 100 | sleep 100", timeout=0.5, retries=0)
    at.publish(b"x")
    (dead,) = at.dead()
    assert dead.headers["x-streamboss-reason"] == "no answer within 0.5 s (timeout)"


def test_too_much_output_is_cut(desk: MakeDesk) -> None:
    at = desk(exec="yes", retries=0, max_output_bytes=1000)
    at.publish(b"x")
    assert "1000 bytes" in at.dead()[0].headers["x-streamboss-reason"]


def test_a_child_left_behind_with_stdout_delays_only_a_moment(desk: MakeDesk) -> None:
    at = desk(exec="sleep 100 & echo done")
    at.publish(Message(b"x", content_type="text/plain"))
    assert at.outputs(1, within_s=5)[0].body == b"done"


def test_input_larger_than_a_pipe_goes_in_and_out(desk: MakeDesk) -> None:
    at = desk(exec="cat")
    body = bytes(range(256)) * 10_000
    at.publish(body, b"small")
    assert [m.body for m in at.outputs(2)] == [body, b"small"]


def test_the_end_of_stdin_ends_the_programs_at_once(desk: MakeDesk) -> None:
    at = desk(exec="sleep 100")
    at.publish(b"x")
    at.until("running")
    assert at.process is not None
    assert at.process.stdin is not None
    at.process.stdin.close()
    assert at.process.wait(10) == 4


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("tr a-z A-Z", ["/usr/bin/tr"]),
        ("tr a-z A-Z | cat", ["/bin/sh", "/usr/bin/cat", "/usr/bin/tr"]),
    ],
    ids=["without a shell", "with one"],
)
def test_a_message_costs_one_vfork_and_no_shell_that_is_not_needed(
    desk: MakeDesk, tmp_path: Path, line: str, programs: list[str]
) -> None:
    at = desk(exec=line, started=False)
    at.trace(tmp_path / "calls")
    at.start()
    at.publish(*[b"x"] * 10)
    assert [m.body for m in at.outputs(10)] == [b"X"] * 10
    assert at.drain() == 0
    calls = (tmp_path / "calls").read_text()
    _operator, *begun = re.findall(r"execve\(\"([^\"]+)\"", calls)
    assert Counter(begun) == dict.fromkeys(programs, 10)
    itself = calls.split(maxsplit=1)[0]
    forks = re.findall(rf"^{itself} +(?:clone|fork|vfork).*", calls, re.MULTILINE)
    made = [fork for fork in forks if "CLONE_THREAD" not in fork]
    assert len(made) == 10
    # any other copies the tables of the operator's memory, which costs ten times as much
    assert all("vfork" in fork.lower() for fork in made)
