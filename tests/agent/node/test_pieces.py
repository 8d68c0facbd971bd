"""The agent's smaller decisions: which assignment, how long to wait, which lines to keep."""

from functools import partial
from pathlib import Path

import pytest

from agent.node.assignments import accepted, seen_here
from agent.node.load import Load, memory_bytes
from agent.node.logs import PIECE_CHARACTERS, PIECES, TAIL_LINES, LogBook
from agent.node.place import LOOP, Place, why_ended
from agent.node.process import Lines, environment
from agent.node.scratch import Scratch
from agent.protocol import ExitStatus
from streams.access import ObjectStore, S3Access
from streams.control import (
    Assigned,
    Assignment,
    Counters,
    OperatorReport,
    OperatorState,
    decode,
    encode,
)
from streams.definition import ProcessDefinition
from streams.errors import ControlError

CAT = ProcessDefinition(name="Cat", application="any", exec="cat")
ASSIGNED = Assigned(operation="op", revision=1, definition=CAT, input_stream="a", output_stream="b")


def assignment(term: int, incarnation: str = "me", node: str = "n") -> bytes:
    return encode(Assignment(term=term, node=node, incarnation=incarnation))


def test_an_assignment_of_the_same_or_a_later_term_is_followed() -> None:
    for term in (3, 4):
        taken = accepted(assignment(term), node="n", incarnation="me", term=3)
        assert taken is not None
        assert taken.term == term


def test_an_assignment_of_an_earlier_term_is_refused() -> None:
    with pytest.raises(ControlError, match="term 2: refused, term 3 was seen"):
        accepted(assignment(2), node="n", incarnation="me", term=3)


@pytest.mark.parametrize("other", [assignment(9, incarnation="before"), assignment(9, node="m")])
def test_an_assignment_for_somebody_else_is_none_of_ours(other: bytes) -> None:
    assert accepted(other, node="n", incarnation="me", term=3) is None


@pytest.mark.parametrize(
    ("endpoint", "host", "seen"),
    [
        ("http://127.0.0.1:9000", "10.0.2.2", "http://10.0.2.2:9000"),
        ("http://127.0.0.1:9000", None, "http://127.0.0.1:9000"),
        ("https://s3.example.org", "10.0.2.2", "https://s3.example.org"),
        (None, "10.0.2.2", None),
    ],
)
def test_s3_beside_the_manager_is_found_from_another_machine(
    endpoint: str | None, host: str | None, seen: str | None
) -> None:
    objects = ObjectStore(S3Access(endpoint_url=endpoint))
    told = ASSIGNED.model_copy(update={"objects": objects})
    taken = seen_here(told, host, lambda _: Path("/never"))
    assert (taken.objects.access.endpoint_url, taken.objects.access.ca_file) == (seen, None)


def test_the_ca_of_s3_becomes_a_file_of_the_agents(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch", "n")
    told = ASSIGNED.model_copy(update={"objects": ObjectStore(ca="PEM")})
    raw = encode(Assignment(term=3, node="n", incarnation="me", operations=(told,)))
    (taken,) = decode(Assignment, raw).operations
    for _ in range(2):
        seen = seen_here(taken, None, partial(scratch.keep, "ca.pem"))
        assert Path(seen.objects.access.ca_file or "").read_text() == "PEM"
    scratch.close()


def test_lines_come_whole_however_they_are_cut() -> None:
    lines = Lines(limit=10)
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\n\n") == [b"two", b""]
    assert lines.feed(b"x" * 11) == [b"x" * 11]
    assert lines.feed(b"\n") == [b""]


def test_an_operator_gets_nothing_secret_and_no_folder_of_strangers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STREAMBOSS_PASSWORD", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = environment({"MARK": "m"}, tmp_path)
    assert "secret" not in given.values()
    assert (given["MARK"], given["HOME"], given["LANG"]) == ("m", str(tmp_path), "C.UTF-8")
    assert "" not in given["PYTHONPATH"].split(":")


def test_a_log_book_keeps_the_latest_lines_and_counts_the_others() -> None:
    book = LogBook()
    book.add("op", tuple(f"line {number:>50}" for number in range(TAIL_LINES + 10)), dropped=5)
    [first] = book.take()
    assert first.dropped == 15
    assert first.lines[0].endswith(" 10")
    assert sum(len(line) for line in first.lines) <= PIECE_CHARACTERS
    rest: list[str] = []
    while book:
        [piece] = book.take()
        assert piece.dropped == 0
        rest += piece.lines
    assert rest[-1].endswith(f" {TAIL_LINES + 9}")


def test_a_loud_operation_leaves_room_for_the_others() -> None:
    book = LogBook()
    book.add("loud", ("x" * 2000,) * 20)
    for number in range(PIECES + 3):
        book.add(f"op{number}", ("a line",))
    first, second = book.take(), book.take()
    assert len(first) == PIECES
    heard = {piece.operation for piece in (*first, *second)}
    assert heard == {"loud", *(f"op{number}" for number in range(PIECES + 3))}


def test_an_end_is_told_as_a_sentence() -> None:
    assert why_ended(ExitStatus.DRAINED, "") == "the operator has drained"
    assert why_ended(-9, "") == "the operator was ended by SIGKILL"
    assert why_ended(1, "KeyError: 'x'") == "the operator ended with status 1 (KeyError: 'x')"
    assert "lost its connection" in why_ended(ExitStatus.LOST_CONNECTION, "")
    logged = "ERROR agent.operator: broker: not reachable"
    assert why_ended(ExitStatus.LOST_CONNECTION, logged) == "broker: not reachable"


def test_a_place_whose_operators_keep_ending_is_failed_with_the_reason() -> None:
    place = Place(1, ASSIGNED)
    assert place.report().state is OperatorState.STARTING
    for _ in range(LOOP):
        place.failed(1, "the operator ended with status 1")
    report = place.report()
    assert report.state is OperatorState.FAILED
    assert report.reason.startswith("the operator ended with status 1; next try after ")


def test_a_lost_connection_is_nobodys_fault() -> None:
    place = Place(1, ASSIGNED)
    for _ in range(2 * LOOP):
        place.failed(ExitStatus.LOST_CONNECTION, "the operator lost its connection")
    assert place.report().state is OperatorState.STARTING


def test_a_draining_place_says_so_whatever_its_operator_said_last() -> None:
    said = OperatorReport(
        operation="op", revision=1, state=OperatorState.RUNNING, counters=Counters(restarts=2)
    )
    place = Place(1, ASSIGNED, said=said, draining=True, restarts=3)
    assert place.report().state is OperatorState.DRAINING
    assert place.report().counters.restarts == 5


def test_the_machines_load_is_a_percentage_and_bytes() -> None:
    load = Load()
    sum(range(2_000_000))  # at least one tick of work
    percent = load.cpu_percent()
    assert percent is None or 0 <= percent <= 100
    used, total = memory_bytes()
    assert 1024 * 1024 < (used or 0) < (total or 0)
