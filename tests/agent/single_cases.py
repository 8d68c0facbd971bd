"""What must come of programs run once for each message (`single`)."""

import json
import socket
from collections.abc import Callable

import pytest

from streams.definition import ProcessDefinition
from streams.message import OBJECT_REFERENCE, Message
from tests.agent.cases import Case, Dead, Outcome
from tests.agent.operating import MARK, ROOT, defined, program

EVERY_BYTE = bytes(range(256)) * 4 + b"\n"
BIG = bytes(range(256)) * 20_000  # 5 MB
MISSING_CWD = "/nonexistent/folder"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def one(name: str, **fields: object) -> ProcessDefinition:
    """Return a definition that runs one of our programs without a shell."""
    return defined(program(name), argv=[], **fields)


def _environment_is_the_contracts(outcome: Outcome) -> None:
    environment = json.loads(outcome.outputs[0].body)
    assert set(environment) == {
        "PATH", "HOME", "LANG", "STREAMBOSS_STREAM", "STREAMBOSS_OPERATION",
        "STREAMBOSS_MESSAGE_ID", "STREAMBOSS_ATTEMPT", "STREAMBOSS_CONTENT_TYPE", "TRACEPARENT",
        "GIVEN", MARK,
    }  # fmt: skip
    assert environment["LANG"] == "C.UTF-8"
    assert environment["GIVEN"] == "by the definition"
    assert environment["STREAMBOSS_STREAM"] == f"{environment['STREAMBOSS_OPERATION']}-in"
    assert environment["STREAMBOSS_MESSAGE_ID"] == "the-id"
    assert environment["STREAMBOSS_ATTEMPT"] == "1"
    assert environment["STREAMBOSS_CONTENT_TYPE"] == "text/plain"
    assert environment["TRACEPARENT"] == TRACEPARENT


def _nobody_listens(outcome: Outcome) -> None:
    port = int(outcome.outputs[0].body)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def _answer_keeps_what_its_input_had(outcome: Outcome) -> None:
    (output,) = outcome.outputs
    assert output.message_id == "the-id"
    assert output.correlation_id == "the-correlation"
    assert output.headers["colour"] == "blue"
    for mark in ("x-death", "x-delivery-count", "x-streamboss-replay", "x-streamboss-replay-of"):
        assert mark not in output.headers


def _folder_is_the_operations_own(outcome: Outcome) -> None:
    cwd, home, *entries = outcome.outputs[0].body.decode().splitlines()
    assert cwd == home
    assert not entries
    assert str(ROOT) not in cwd


def _stderr_is_a_whole_tail(outcome: Outcome) -> None:
    tail = outcome.dead[0].headers["x-streamboss-stderr"]
    assert "äöü€" in tail
    assert 3000 < len(tail.encode()) <= 4096


def _was_retried(times: int) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert outcome.counters.retried == times

    return check


def _nobody_is_blamed(outcome: Outcome) -> None:
    assert outcome.counters.retried == 0
    assert outcome.counters.exit_statuses == {"75": 1, "0": 1}


_BYTES = [
    Case(
        "text gets a newline, and the answer's newline is taken off again",
        defined("tr [a-z] [A-Z]"),
        ["Some other text", "ends with its own\n", "two\nlines"],
        [b"SOME OTHER TEXT", b"ENDS WITH ITS OWN\n", b"TWO\nLINES"],
    ),
    Case(
        "text is given as one line to a program that counts lines",
        defined("wc -l"),
        ["a", "a\nb"],
        [b"1", b"2"],
    ),
    Case(
        "bytes without a content type go through cat exactly, a last newline included",
        defined("cat"),
        [Message(EVERY_BYTE), Message(b"\n"), Message(b"\0")],
        [EVERY_BYTE, b"\n", b"\0"],
        types=[None, None, None],
    ),
    Case(
        "a picture goes through cat exactly and stays a picture",
        defined("cat"),
        [Message(EVERY_BYTE, content_type="image/png")],
        [EVERY_BYTE],
        types=["image/png"],
    ),
    Case(
        "five megabytes go through cat exactly",
        defined("cat", argv=[]),
        [Message(BIG, content_type="application/octet-stream")],
        [BIG],
        types=["application/octet-stream"],
    ),
    Case(
        "an answer that isn't text keeps its newline",
        defined("cat", output_content_type="application/json"),
        ["{}"],
        [b"{}\n"],
        types=["application/json"],
    ),
    Case(
        "text that isn't UTF-8 goes out as bytes",
        one("text_that_is_not_utf8.sh"),
        ["x"],
        [b"caf\xe9"],
        types=["application/octet-stream"],
    ),
    Case(
        "an empty answer is no message",
        defined("grep yes || true"),
        ["yes", "no", "no", "oh yes"],
        [b"yes", b"oh yes"],
    ),
    Case("a program that answers nothing at all filters everything", defined("true"), ["a", "b"]),
    Case(
        "an empty message is a message for a program",
        defined("wc -c"),
        [Message(b"")],
        [b"0\n"],
        types=[None],
    ),
    Case("pipes in exec are pipes", defined("rev | tr a-z A-Z"), ["abc"], [b"CBA"]),
    Case(
        "argv goes to the program as it stands, with no shell in between",
        defined(
            program("prints_argv.py"), argv=["two words", "it's", '"$HOME"', "*", "", "|", "é"]
        ),
        ["x"],
        [b'["two words", "it\'s", "\\"$HOME\\"", "*", "", "|", "\\u00e9"]'],
    ),
    Case(
        "with argv, exec is a path and may have spaces",
        one("a name with spaces.sh"),
        ["x"],
        [b"found"],
    ),
    Case(
        "quotes in exec are the shell's",
        defined(f"'{program('a name with spaces.sh')}' | sed \"s/found/it is 'found'/\""),
        ["x"],
        [b"it is 'found'"],
    ),
    Case(
        "answers keep id, correlation and headers of their input, but no marks",
        defined("cat"),
        [
            Message(
                b"x",
                message_id="the-id",
                content_type="text/plain",
                correlation_id="the-correlation",
                headers={
                    "colour": "blue",
                    "x-streamboss-replay": "7",
                    "x-streamboss-replay-of": "a",
                    "x-death": [{"count": 1}],
                },
            )
        ],
        [b"x"],
        check=_answer_keeps_what_its_input_had,
    ),
]

_SURROUNDINGS = [
    Case(
        "cwd and HOME are an empty folder of the operation's own",
        one("prints_folder.sh"),
        ["x"],
        1,
        check=_folder_is_the_operations_own,
    ),
    Case(
        "the environment is exactly the contract's",
        one("prints_environment.py", environment={"GIVEN": "by the definition"}),
        [
            Message(
                b"x",
                message_id="the-id",
                content_type="text/plain",
                headers={"traceparent": TRACEPARENT},
            )
        ],
        1,
        check=_environment_is_the_contracts,
    ),
    Case(
        "only stdin, stdout and stderr are inherited",
        one("prints_descriptors.py"),
        ["x"],
        [b"0 1 2 [] 0"],
    ),
    Case("a given cwd is used", defined("pwd", cwd="/usr"), ["x"], [b"/usr"]),
    Case(
        "CPU beyond the limit ends the program",
        one("burns_cpu.py", limits={"cpu_s": 1}, retries=0),
        ["x"],
        dead=[Dead(b"x", attempts=1)],
    ),
    Case(
        "memory beyond the limit is refused",
        one("takes_memory.py", limits={"memory_bytes": 256 * 1024 * 1024}, retries=0),
        ["x"],
        dead=[Dead(b"x", attempts=1, exit_status="1", stderr="MemoryError")],
    ),
    Case(
        "files beyond the limit are refused",
        one("opens_files.py", limits={"files": 32}, retries=0),
        ["x"],
        dead=[Dead(b"x", attempts=1, exit_status="1", stderr="Too many open files")],
    ),
    Case(
        "a program that fills its folder meets its limit, and its neighbours have room",
        defined(
            f"read x; test $x != fill || exec {program('fills_its_folder.py')}; echo $x >> kept;"
            " cat kept",
            limits={"file_bytes": 1_000_000},
            retries=0,
            concurrency=1,
        ),
        ["a", "fill", "b"],
        [b"a", b"a\nb"],
        dead=[Dead(b"fill", attempts=1, exit_status="1", stderr="File too large")],
    ),
    Case(
        "limits that nothing here can hold are no limits: the program isn't run",
        defined("cat", limits={"processes": 20}),
        ["x"],
        failed="need cgroups",
        left=1,
    ),
    Case(
        "a program that listens is left by nobody on its port",
        one("listens.py"),
        ["x"],
        1,
        check=_nobody_listens,
    ),
    Case(
        "a hundred processes that ignore SIGTERM end with the time-out",
        one("breeds.py", timeout=2, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1)],
    ),
]

_OBJECT = b'{"bucket": "b", "key": "k", "size": 1, "etag": "e", "content_type": "text/plain"}'

_STREAMS = [
    Case(
        "an object reference is never fed to a program as if it were the object, nor given up",
        defined("cat"),
        [Message(_OBJECT, content_type=OBJECT_REFERENCE), "neighbour"],
        failed="no login for S3",
        left=2,
    ),
    Case(
        "a program that never reads its stdin still answers",
        one("ignores_stdin.sh"),
        ["small", Message(BIG, content_type="text/plain"), "small too"],
        [b"done"] * 3,
    ),
    Case(
        "a program may leave most of its stdin unread",
        one("reads_a_little.py"),
        [Message(BIG, content_type="text/x"), "0123456789abc"],
        [BIG[:10], b"0123456789"],
        types=["text/x", "text/plain"],
    ),
    Case(
        "a flood of stderr neither blocks nor fails the message",
        one("floods_stderr.py"),
        ["x"],
        [b"through"],
    ),
    Case(
        "of a flood the dead letter carries the end",
        one("floods_stderr.py", retries=0),
        ["exit 1"],
        dead=[Dead(b"exit 1", attempts=1, exit_status="1", stderr="the last words")],
    ),
    Case(
        "stderr without a newline travels, too",
        one("stderr_without_newline.sh", retries=0),
        ["x"],
        dead=[Dead(b"x", exit_status="1", stderr="no newline here")],
    ),
    Case(
        "stderr that isn't UTF-8 becomes valid UTF-8, cut between characters",
        one("stderr_is_not_utf8.py", retries=0),
        ["x"],
        dead=[Dead(b"x", exit_status="1")],
        check=_stderr_is_a_whole_tail,
    ),
    Case(
        "a child left behind with stdout in its hands delays nothing and ends",
        one("leaves_a_child.sh"),
        ["a", "b"],
        [b"answer", b"answer"],
    ),
    Case(
        "a child left behind that writes for ever is too much output",
        one("leaves_a_noisy_child.sh", max_output_bytes=1_000_000, retries=0),
        ["a"],
        dead=[Dead(b"a", "output", attempts=1)],
    ),
    Case("a daemon by the book ends with its operator", one("daemonises.py"), ["a"], [b"answer"]),
    Case(
        "a daemon that keeps stdout open delays nothing",
        one("double_forks.py"),
        ["a", "b"],
        [b"answer", b"answer"],
    ),
    Case(
        "stdout closed early is not the end of the program",
        one("closes_stdout_early.py"),
        ["0.5"],
        [b"answer"],
    ),
    Case(
        "stdout closed early doesn't escape the time-out",
        one("closes_stdout_early.py", timeout=1, retries=0),
        ["300", "0"],
        [b"answer"],
        dead=[Dead(b"300", "time", attempts=1)],
    ),
    Case(
        "stdin closed early harms nothing",
        one("closes_stdin_early.py"),
        [Message(BIG)],
        [b"answer"],
        types=[None],
    ),
    Case(
        "output that never ends is cut off",
        one("endless_output.sh", max_output_bytes=100_000),
        ["x"],
        dead=[Dead(b"x", "output", attempts=2)],
    ),
    Case(
        "output up to max_output_bytes is fine, one byte more is not",
        one("writes_zeros.sh", max_output_bytes=100_000, retries=0),
        [Message(b"100000\n"), Message(b"100001\n"), Message(b"5\n")],
        [bytes(100_000), bytes(5)],
        types=[None, None],
        dead=[Dead(b"100001\n", "output", attempts=1)],
    ),
]

_ENDINGS = [
    Case(
        "a program that ignores every signal is ended at the time-out",
        one("ignores_sigterm.py", timeout=1, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1)],
    ),
    Case(
        "a program that stops itself is ended at the time-out",
        one("stops_itself.sh", timeout=1, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1)],
    ),
    Case(
        "a time-out ends the children as well, and is retried",
        one("sleeps.sh", timeout=0.5, retries=1),
        ["x"],
        dead=[Dead(b"x", "time", attempts=2)],
    ),
    Case(
        "thirty children end with the time-out",
        one("many_children.sh", timeout=1, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1)],
    ),
    Case(
        "75 once is tried again, and its half answer is thrown away",
        one("fails_as_told.sh"),
        ["75 1"],
        [b"75 1"],
        check=_nobody_is_blamed,
    ),
    Case(
        "75 for ever is given up at last",
        one("fails_as_told.sh", retries=2),
        ["75 99", "0 0"],
        [b"0 0"],
        dead=[Dead(b"75 99", attempts=3, exit_status="75", stderr="attempt 3 failed")],
    ),
    Case(
        "65 is a dead letter at once",
        one("fails_as_told.sh", retries=5),
        ["0 0", "65 99", "0 00"],
        [b"0 0", b"0 00"],
        dead=[Dead(b"65 99", attempts=1, exit_status="65")],
    ),
    Case(
        "any other status is tried again",
        one("fails_as_told.sh", retries=2),
        ["1 2", "0 0"],
        [b"1 2", b"0 0"],
        check=_was_retried(2),
    ),
    Case(
        "retries are counted, then the message is given up",
        one("fails_as_told.sh", retries=2),
        ["9 99"],
        dead=[Dead(b"9 99", attempts=3, exit_status="9", stderr="attempt 3 failed")],
    ),
    Case(
        "no retries means one attempt",
        one("fails_as_told.sh", retries=0),
        ["3 99", "0 0"],
        [b"0 0"],
        dead=[Dead(b"3 99", attempts=1, exit_status="3")],
    ),
    Case(
        "death by a signal is a failure that names the signal",
        one("dies_by_signal.sh", retries=0),
        ["SEGV", "KILL", "TERM"],
        dead=[
            Dead(b"SEGV", "SIGSEGV", attempts=1),
            Dead(b"KILL", "SIGKILL", attempts=1),
            Dead(b"TERM", "SIGTERM", attempts=1),
        ],
    ),
    Case(
        "a program that kills its own group harms only its message",
        one("kills_its_group.py", retries=0),
        ["x"],
        dead=[Dead(b"x", "SIGKILL", attempts=1)],
    ),
]

_CAN_NOT_RUN = [
    Case(
        "a program that isn't there",
        defined("/nonexistent/program", argv=[]),
        ["a", "b"],
        failed="/nonexistent/program",
        left=2,
    ),
    Case(
        "a command that isn't there",
        defined("no-such-command-anywhere"),
        ["a"],
        failed="no-such-command-anywhere",
        left=1,
    ),
    Case(
        "a command that isn't there, in a shell line",
        defined("no-such-command-anywhere 2>&1; exit $?"),
        ["a"],
        failed="127",
        left=1,
    ),
    Case(
        "a program that isn't executable",
        one("not_executable.sh"),
        ["a"],
        failed="not_executable.sh",
        left=1,
    ),
    Case(
        "a script whose interpreter isn't there",
        one("bad_interpreter.sh"),
        ["a"],
        failed="bad_interpreter.sh",
        left=1,
    ),
    Case(
        "a cwd that isn't there", defined("cat", cwd=MISSING_CWD), ["a"], failed=MISSING_CWD, left=1
    ),
    Case("status 126", one("fails_as_told.sh", retries=0), ["126 99"], failed="126", left=1),
    Case("status 127", one("fails_as_told.sh", retries=0), ["127 99"], failed="127", left=1),
]

_ORDER = [
    Case(
        "outputs leave in input order at any concurrency",
        one("sleeps_as_told.sh", concurrency=4),
        [f"{(7 * n) % 4 / 10} {n}" for n in range(16)],
        [str(n).encode() for n in range(16)],
    ),
    Case(
        "with order none the quick overtake the slow",
        one("sleeps_as_told.sh", concurrency=2, order="none"),
        ["1.5 slow", "0 quick", "0 quicker"],
        [b"quick", b"quicker", b"slow"],
    ),
    Case(
        "a message being retried keeps its place",
        one("needs_a_second_try.sh", concurrency=2),
        ["a", "again 1", "b", "again 2", "c", "d"],
        [b"a", b"again 1", b"b", b"again 2", b"c", b"d"],
    ),
    Case(
        "a long queue behind a message being retried keeps its order",
        one("fails_as_told.sh", concurrency=2),
        ["9 1", *(f"{n} 0" for n in range(120))],
        [b"9 1", *(b"%d 0" % n for n in range(120))],
    ),
    Case(
        "with order none a message being retried is overtaken",
        one("needs_a_second_try.sh", concurrency=1, order="none"),
        ["again", "b", "c"],
        [b"b", b"c", b"again"],
    ),
    Case(
        "a dead letter leaves no gap that the others wait for",
        one("fails_as_told.sh", concurrency=4, retries=0),
        ["1 0", "65 99", "2 0", "1 99", "3 0"],
        [b"1 0", b"2 0", b"3 0"],
        dead=[Dead(b"65 99", exit_status="65"), Dead(b"1 99", exit_status="1")],
    ),
    Case(
        "one process at a time where one is asked for",
        defined("mkdir lock || exit 65; sleep 0.05; rmdir lock; cat", concurrency=1),
        ["a", "b", "c", "d"],
        [b"a", b"b", b"c", b"d"],
    ),
]

SINGLE = [*_BYTES, *_SURROUNDINGS, *_STREAMS, *_ENDINGS, *_CAN_NOT_RUN, *_ORDER]
