"""What the operator decides without acting."""

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.operator.command import (
    environment,
    limited,
    message_environment,
    plain_words,
)
from agent.operator.dead import HEADERS_BYTES, Death, dead_headers
from agent.operator.ledger import Acks, Ledger
from agent.operator.pace import FIRST, MOST, Pace
from agent.operator.payload import beginning_type, from_stdout, kept_headers, to_stdin
from agent.operator.run import Verdict, judge
from agent.operator.sequencer import Sequencer
from agent.operator.settle import Activity, Stillness, activity, stillness
from agent.operator.spool import Spool
from agent.operator.tail import LogLines, Stderr, Tail, last_text
from streams.broker.properties import headers_bytes
from streams.definition import Limits, ProcessDefinition


@given(st.permutations(range(1, 30)))
def test_the_sequencer_lets_everything_out_once_and_in_order(order: list[int]) -> None:
    sequencer = Sequencer[int]()
    out = [value for place in order for value in sequencer.settle(place, place)]
    assert out == sorted(order)
    assert sequencer.held == 0


@given(st.permutations(range(1, 30)), st.lists(st.booleans(), min_size=29, max_size=29))
def test_each_delivery_is_acknowledged_once_and_only_when_done(
    order: list[int], singly: list[bool]
) -> None:
    ledger, unacknowledged, done = Ledger(), set(order), set[int]()
    for tag in sorted(order):
        ledger.receive(tag)
    for tag, singles in zip(order, singly, strict=True):
        ledger.done([tag])
        done.add(tag)
        acks = ledger.due(singles=singles)
        if acks.up_to:
            assert acks.up_to in unacknowledged, "the broker would close the channel"
            covered = {one for one in unacknowledged if one <= acks.up_to}
            assert covered <= done
            unacknowledged -= covered
        assert set(acks.singles) <= unacknowledged & done
        unacknowledged -= set(acks.singles)
        assert ledger.in_hand == len(unacknowledged)
        assert ledger.in_hand_after(10) == len([one for one in unacknowledged if one > 10])
    assert not unacknowledged


def test_one_acknowledgement_covers_all_up_to_the_oldest_unfinished() -> None:
    ledger = Ledger()
    for tag in range(1, 6):
        ledger.receive(tag)
    for tag in (2, 1, 3, 5):
        ledger.done([tag])
    assert ledger.due() == Acks(3)
    assert ledger.unfinished == 1
    assert ledger.due(singles=True) == Acks(0, (5,))
    ledger.done([4])
    assert ledger.due() == Acks(4)
    assert ledger.in_hand == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tr a-z A-Z", ["tr", "a-z", "A-Z"]),
        ("/opt/x 'two words' \"three\"", ["/opt/x", "two words", "three"]),
        ("tr [a-z] [A-Z]", None),
        ("grep a | tr b c", None),
        ("A=1 cat", None),
        ("cat > file", None),
        ("echo $HOME", None),
        ("cd /tmp", None),
        ("exec cat", None),
        ("cat 'open", None),
        ("cat # comment", None),
        ("", None),
        ("cat\ncat", None),
    ],
)
def test_only_a_line_that_needs_no_shell_is_spared_it(line: str, words: list[str] | None) -> None:
    assert plain_words(line) == words


def test_limits_go_by_prlimit_before_the_program_begins() -> None:
    assert limited(("cat",), Limits()) == ("cat",)
    assert limited(("cat",), Limits(cpu_s=2, memory_bytes=2**30, files=64, file_bytes=9)) == (
        "/usr/bin/prlimit", "--cpu=2:3", f"--as={2**30}", "--nofile=64", "--fsize=9", "--", "cat",
    )  # fmt: skip


def _environment(**fields: object) -> dict[str, str]:
    raw = {"name": "n", "application": "a", "exec": "cat", **fields}
    return environment(
        ProcessDefinition.from_mapping(raw),
        operation="op",
        stream="in",
        home="/h",
        inherited={"PATH": "/bin", "SECRET": "s", "STREAMBOSS_PASSWORD": "p"},
        mark={},
    )


def test_a_program_gets_nothing_of_ours_but_what_the_contract_names() -> None:
    assert _environment(environment={"LANG": "de_DE", "X": "y"}) == {
        "PATH": "/bin",
        "HOME": "/h",
        "LANG": "de_DE",
        "STREAMBOSS_STREAM": "in",
        "STREAMBOSS_OPERATION": "op",
        "X": "y",
    }
    assert _environment(process_type="service")["_STDBUF_O"] == "L"


def test_what_a_foreign_client_sent_fits_into_an_environment() -> None:
    chosen = message_environment(
        message_id=b"\xff\0x", attempt=2, content_type=None, traceparent="00-a"
    )
    assert chosen == {
        "STREAMBOSS_MESSAGE_ID": "\ufffdx",
        "STREAMBOSS_ATTEMPT": "2",
        "STREAMBOSS_CONTENT_TYPE": "",
        "TRACEPARENT": "00-a",
    }


@pytest.mark.parametrize(
    ("stdout", "declared", "body", "content_type"),
    [
        (b"a\n", "text/plain", b"a", "text/plain"),
        (b"a\n\n", "Text/Plain; charset=utf-8", b"a\n", "Text/Plain; charset=utf-8"),
        (b"a", "text/plain", b"a", "text/plain"),
        (b"\n", "text/plain", b"", "text/plain"),
        (b"\xff\n", "text/plain", b"\xff\n", "application/octet-stream"),
        (b"a\n", "image/png", b"a\n", "image/png"),
        (b"a\n", None, b"a\n", None),
    ],
)
def test_text_is_a_line_and_everything_else_itself(
    stdout: bytes, declared: str | None, body: bytes, content_type: str | None
) -> None:
    assert from_stdout(stdout, declared) == (body, content_type)


@given(st.binary(), st.sampled_from(["text/plain", "image/png", None]))
def test_what_goes_through_cat_comes_out_the_same(body: bytes, content_type: str | None) -> None:
    back, back_type = from_stdout(to_stdin(body, content_type), content_type)
    if back_type == content_type:
        assert back == body
    else:
        assert back == body + b"\n"  # not UTF-8: no longer a line


@pytest.mark.parametrize(
    ("beginning", "content_type", "expected"),
    [
        (b"plain", "text/plain", "text/plain"),
        ("half of a €".encode()[:-1], "text/plain", "text/plain"),
        (b"\xff", "text/plain", "application/octet-stream"),
        (b"\xff", "image/png", "image/png"),
        (b"x", None, None),
    ],
)
def test_the_beginning_of_an_output_tells_its_type(
    beginning: bytes, content_type: str | None, expected: str | None
) -> None:
    assert beginning_type(beginning, content_type) == expected


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\1", b"\n")))
def test_a_spool_is_read_in_pieces_as_often_as_one_likes(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        spool = Spool.of(file)
        for _ in range(2):
            assert b"".join(spool.pieces()) == content
            with open(spool.open(), "rb") as opened:  # noqa: PTH123 - a descriptor
                assert opened.read() == content
        assert spool.has_inside(b"\n") == (b"\n" in content[:-1])


def test_only_the_users_headers_are_kept() -> None:
    headers = {
        "mine": 1, "traceparent": "t", "x-death": [], "x-first-death-queue": "q",
        "x-delivery-count": 1, "x-streamboss-replay": "r", "CC": ["other"],
    }  # fmt: skip
    assert kept_headers(headers) == {"mine": 1, "traceparent": "t"}
    assert kept_headers(None) == {}


_HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=20), st.text(max_size=40_000) | st.integers(0, 9), max_size=8
)


@given(_HEADERS, st.binary(max_size=9000))
def test_dead_letters_headers_stay_small_and_say_what_happened(
    came: dict[str, object], stderr: bytes
) -> None:
    tail = Tail()
    tail.feed(stderr)
    death = Death("reason" * 1000, "1", 3, "node", "2026", tail.text())
    headers = dead_headers(death, came, headers_bytes)
    assert headers_bytes(headers) <= HEADERS_BYTES
    assert headers["x-streamboss-attempts"] == 3
    assert len(str(headers["x-streamboss-stderr"]).encode()) <= 4096
    small = {name for name, value in came.items() if isinstance(value, int)}
    assert {name for name in small if name in kept_headers(came)} <= set(headers)


@given(st.binary(max_size=20_000))
def test_a_tail_is_short_valid_text_and_the_end(raw: bytes) -> None:
    text = last_text(raw)
    assert len(text.encode()) <= 4096
    assert "\0" not in text


@given(st.lists(st.binary(max_size=50)))
def test_lines_are_logged_whole_however_they_came(chunks: list[bytes]) -> None:
    log = LogLines()
    stderr = Stderr(log)
    for chunk in chunks:
        stderr.feed(chunk)
    stderr.end()
    whole = b"".join(chunks)
    lines, dropped = log.take()
    assert len(lines) + dropped == whole.count(b"\n") + (whole[-1:] not in {b"\n", b""})


def test_windows_follow_the_programs_speed() -> None:
    pace = Pace()
    assert pace.limit == FIRST
    for _ in range(20):
        pace.settled(0.01)
    assert pace.limit == MOST
    pace.settled(0.5)
    assert pace.limit == MOST
    pace.settled(2)
    assert pace.limit == MOST // 2
    for _ in range(20):
        pace.settled(2)
    assert pace.limit == 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0, Verdict.OUTPUT),
        (1, Verdict.FAILED),
        (65, Verdict.BAD),
        (75, Verdict.LATER),
        (126, Verdict.CANNOT_RUN),
        (127, Verdict.CANNOT_RUN),
        (-9, Verdict.FAILED),
    ],
)
def test_an_exit_status_means_what_the_contract_says(code: int, verdict: Verdict) -> None:
    assert judge(code) is verdict


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("running\n", Activity.RUNS),
        ("-1 0x7ffd 0x7f01\n", Activity.RUNS),
        ("-1 0x0 0x0\n", Activity.POLLS),
    ],
)
def test_a_threads_activity_is_read_from_its_system_call(line: str, kind: Activity) -> None:
    assert activity(line) is kind


@pytest.mark.parametrize(
    ("threads", "still"),
    [
        ([Activity.READS], Stillness.WAITING),
        ([Activity.WAITS], Stillness.WAITING),
        ([Activity.READS, Activity.IDLE, Activity.IDLE], Stillness.WAITING),
        ([Activity.READS, Activity.POLLS], Stillness.QUIET),
        ([Activity.READS, Activity.BLOCKED], Stillness.QUIET),
        ([Activity.POLLS], Stillness.QUIET),
        ([Activity.POLLS, Activity.IDLE], Stillness.QUIET),
        ([Activity.IDLE], Stillness.WORKING),
        ([Activity.BLOCKED], Stillness.WORKING),
        ([Activity.POLLS, Activity.BLOCKED], Stillness.WORKING),
        ([Activity.READS, Activity.RUNS], Stillness.WORKING),
        ([], Stillness.WORKING),
    ],
)
def test_a_process_is_judged_by_all_its_threads(threads: list[Activity], still: Stillness) -> None:
    assert stillness(threads) is still
