"""What must come of programs that are kept running (`service`)."""

import json
from collections.abc import Callable

from streams.control import OperatorState
from streams.definition import ProcessDefinition
from streams.message import Message
from tests.agent.cases import Case, Dead, Outcome
from tests.agent.operating import MARK, defined, program

NUMBERS = [str(number) for number in range(50)]


def service(exec_: str, **fields: object) -> ProcessDefinition:
    """Return a service's definition; `exec_` is a line for the shell."""
    return defined(exec_, process_type="service", **{"settle_s": 0.5, **fields})


def ours(name: str, **fields: object) -> ProcessDefinition:
    """Return a service that is one of our programs, without a shell."""
    return service(program(name), argv=[], **fields)


def answers(**fields: object) -> ProcessDefinition:
    """Return the service that does what each line says, one answer for each."""
    return ours("answers_lines.py", replies="one", **fields)


def _encoded(*words: str) -> list[bytes]:
    return [word.encode() for word in words]


def _environment_is_the_contracts(outcome: Outcome) -> None:
    environment = json.loads(outcome.outputs[0].body)
    assert set(environment) == {
        "PATH", "HOME", "LANG", "STREAMBOSS_STREAM", "STREAMBOSS_OPERATION",
        "PYTHONUNBUFFERED", "LD_PRELOAD", "_STDBUF_O", MARK,
    }  # fmt: skip
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["_STDBUF_O"] == "L"
    assert "libstdbuf" in environment["LD_PRELOAD"]


def _two_workers_answered(outcome: Outcome) -> None:
    pids = {message.body.split()[1] for message in outcome.outputs}
    words = sorted(message.body.split()[0] for message in outcome.outputs)
    assert len(pids) == 2
    assert words == sorted(_encoded(*NUMBERS[:20]))


def _answers_keep_ids(outcome: Outcome) -> None:
    assert [m.message_id for m in outcome.outputs] == ["first-id", "second-id"]
    assert [m.correlation_id for m in outcome.outputs] == ["1", "2"]
    assert outcome.outputs[0].headers["colour"] == "red"


def _outputs_have_new_ids(outcome: Outcome) -> None:
    ids = [message.message_id for message in outcome.outputs]
    assert "the-id" not in ids
    assert None not in ids
    assert len(set(ids)) == len(ids)


def _restarted(outcome: Outcome) -> None:
    assert outcome.counters.restarts >= 1


def _failed_with(stderr: str) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert any(stderr in reason for reason in outcome.failures)
        assert OperatorState.FAILED in outcome.states

    return check


_STREAMING = [
    Case(
        "the quickstart's pancakes become waffles while the program runs",
        service(f"python3 {program('pancake.py')}"),
        ["a pancake", "no cake", "pancake pancake"],
        [b"a waffle", b"no cake", b"waffle waffle"],
    ),
    Case(
        "tr, block-buffered by birth, streams",
        service("tr [a-z] [A-Z]"),
        ["abc", "def"],
        [b"ABC", b"DEF"],
    ),
    Case(
        "a pipeline of grep and tr streams",
        service("grep --line-buffered a | tr a-z A-Z"),
        ["abc", "nothing", "cba"],
        [b"ABC", b"CBA"],
    ),
    Case(
        "sed -u and fifty lines stay in order",
        service("sed -u s/^/x/"),
        NUMBERS,
        [b"x" + n.encode() for n in NUMBERS],
    ),
    Case(
        "the environment is exactly the contract's for a service",
        ours("prints_environment.py"),
        ["x"],
        1,
        check=_environment_is_the_contracts,
    ),
    Case(
        "a message with newlines inside is so many lines",
        service("cat"),
        ["one\ntwo\n", "three"],
        [b"one", b"two", b"three"],
    ),
    Case(
        "an empty line is no message", service("sed -u s/drop//"), ["a", "drop", "b"], [b"a", b"b"]
    ),
    Case(
        "a service's output is text unless the definition says otherwise",
        service("cat", output_content_type="application/json"),
        [Message(b"{}", content_type="image/png")],
        [b"{}"],
        types=["application/json"],
    ),
    Case(
        "a service's text that isn't UTF-8 goes out as bytes",
        service("cat"),
        [Message(b"caf\xe9")],
        [b"caf\xe9"],
        types=["application/octet-stream"],
    ),
    Case(
        "outputs of any get ids of their own",
        ours("answers_lines.py"),
        [Message(b"many 3", message_id="the-id")],
        [b"1 of 3", b"2 of 3", b"3 of 3"],
        check=_outputs_have_new_ids,
    ),
    Case(
        "none, one or a thousand outputs for an input",
        ours("answers_lines.py"),
        ["nothing", "many 1000", "many 0", "last"],
        [*(f"{n} of 1000".encode() for n in range(1, 1001)), b"LAST"],
    ),
    Case(
        "a program that reads far ahead gets all it asks for",
        ours("reads_ahead.py"),
        NUMBERS,
        _encoded(*NUMBERS),
    ),
    Case(
        "a program that sleeps between its lines is waited for",
        ours("answers_lines.py"),
        ["sleep 0.7", "sleep 0.6", "x"],
        [b"SLEEP 0.7", b"SLEEP 0.6", b"X"],
    ),
    Case("a program that polls is waited for", ours("polls.py", settle_s=1.5), ["x"], [b"X"]),
    Case(
        "a program that answers from another thread is waited for",
        ours("threads.py"),
        ["a", "b", "c"],
        [b"A", b"B", b"C"],
    ),
    Case(
        "what a program keeps to itself comes when it drains",
        ours("keeps_it_to_itself.py"),
        ["a", "b"],
        late=[b"a", b"b"],
    ),
    Case(
        "a last line without a newline comes when the program ends",
        ours("last_line_without_newline.sh"),
        ["a", "b", "c"],
        [b"a", b"b"],
        late=[b"c"],
    ),
    Case(
        "a prompt without a newline holds nothing up",
        ours("prompts.py"),
        ["a", "b"],
        [b"> A", b"> B"],
        late=[b"> "],
    ),
    Case(
        "a flood of stderr doesn't block a service",
        ours("answers_lines.py"),
        ["stderr 3000000", "x"],
        [b"STDERR 3000000", b"X"],
    ),
    Case(
        "a helper that never reads doesn't hold the service up",
        ours("service_with_a_child.sh", replies="one"),
        ["a", "b"],
        [b"seen a", b"seen b"],
    ),
    Case(
        "two workers share the work",
        ours("worker_name.py", concurrency=2),
        NUMBERS[:20],
        20,
        check=_two_workers_answered,
    ),
]

_ONE = [
    Case(
        "one answer for each, with id, correlation and headers of its input",
        answers(),
        [
            Message(b"a", message_id="first-id", correlation_id="1", headers={"colour": "red"}),
            Message(b"nothing", message_id="no-id", correlation_id="0"),
            Message(b"b", message_id="second-id", correlation_id="2"),
        ],
        [b"A", b"B"],
        check=_answers_keep_ids,
    ),
    Case(
        "five hundred answers in order",
        answers(),
        [f"n{n}" for n in range(500)],
        [f"N{n}".encode() for n in range(500)],
    ),
    Case(
        "two workers answer in order",
        answers(concurrency=2),
        ["sleep 0.5", "b", "sleep 0.2", "c"],
        [b"SLEEP 0.5", b"B", b"SLEEP 0.2", b"C"],
    ),
    Case(
        "a message with a newline inside can't have one answer",
        answers(),
        ["a", "two\nlines", "b"],
        [b"A", b"B"],
        dead=[Dead(b"two\nlines", "newline")],
    ),
    Case(
        "a service that says nothing is ended at the time-out, and the culprit given up",
        answers(timeout=1, retries=0),
        ["a", "b", "silent"],
        [b"A", b"B"],
        dead=[Dead(b"silent", "time", attempts=1)],
    ),
    Case(
        "a second answer that nobody asked for goes nowhere",
        answers(),
        ["a", "twice"],
        [b"A", b"TWICE"],
    ),
    Case(
        "a service that hangs is ended at the time-out",
        answers(timeout=1, retries=0),
        ["a", "hang", "b"],
        [b"A", b"B"],
        dead=[Dead(b"hang", "time", attempts=1)],
    ),
    Case(
        "a poisonous message is given up, its neighbours come through in order",
        answers(retries=1),
        ["a", "b", "die now", "c", "d"],
        [b"A", b"B", b"C", b"D"],
        dead=[Dead(b"die now", attempts=2, stderr="dying of die now")],
        check=_restarted,
    ),
    Case(
        "two poisonous messages, one of them by signal",
        answers(retries=0),
        ["die-hard", "a", "die 2", "b"],
        [b"A", b"B"],
        dead=[Dead(b"die-hard", attempts=1), Dead(b"die 2", attempts=1)],
    ),
    Case(
        "a message that kills only once comes through",
        ours("dies_once.py", replies="one"),
        ["a", "once", "b"],
        [b"a", b"once", b"b"],
        check=_restarted,
    ),
    Case(
        "a service that ends after each answer is started again",
        ours("one_answer_then_exits.sh", replies="one"),
        ["a", "b", "c"],
        [b"answer to a", b"answer to b", b"answer to c"],
    ),
    Case(
        "an answer over max_output_bytes is given up",
        answers(max_output_bytes=10_000, retries=0),
        ["a", "long 20000", "b"],
        [b"A", b"B"],
        dead=[Dead(b"long 20000", attempts=1)],
    ),
    Case(
        "a service that closes its stdout has ended",
        answers(retries=0),
        ["a", "close-stdout", "b"],
        [b"A", b"B"],
        dead=[Dead(b"close-stdout", attempts=1)],
    ),
]

_ANY = [
    Case(
        "a poisonous message among any replies is found and given up",
        ours("answers_lines.py", retries=1),
        ["a", "b", "die", "c", "d"],
        [b"A", b"B", b"C", b"D"],
        repeats=True,
        dead=[Dead(b"die", attempts=2)],
        check=_restarted,
    ),
    Case(
        "a hanging message among any replies is found and given up",
        ours("answers_lines.py", retries=0, timeout=1),
        ["a", "hang", "c"],
        [b"A", b"C"],
        repeats=True,
        dead=[Dead(b"hang", "time")],
    ),
    Case(
        "closing stdin is the end of a service, too",
        ours("answers_lines.py", retries=0, timeout=2),
        ["a", "close-stdin", "c"],
        [b"A", b"C"],
        repeats=True,
        dead=[Dead(b"close-stdin")],
    ),
    Case(
        "ending well without a look at the input is no answer",
        service(
            "python3 -c 'import select; print(\"ready\"); select.select([0], [], [])'", retries=0
        ),
        ["a"],
        [b"ready"],
        repeats=True,
        dead=[Dead(b"a", "exit status 0")],
    ),
    Case(
        "a crash loop is reported with its last stderr",
        ours("crashes_at_start.sh"),
        ["a", "b"],
        failed="no configuration file",
        left=2,
        check=_failed_with("2"),
    ),
    Case(
        "a service that puts itself into the background is a crash loop",
        ours("becomes_a_daemon.py"),
        ["a"],
        failed="",
        left=1,
    ),
    Case(
        "a service that isn't there",
        service("/nonexistent/service", argv=[]),
        ["a"],
        failed="/nonexistent/service",
        left=1,
    ),
    Case(
        "a service that isn't there, in a shell line",
        service("no-such-service | cat"),
        ["a"],
        failed="no-such-service",
        left=1,
    ),
    Case(
        "a service's cwd that isn't there",
        service("cat", cwd="/nonexistent/folder"),
        ["a"],
        failed="/nonexistent/folder",
        left=1,
    ),
    Case(
        "a service whose interpreter isn't there",
        ours("bad_interpreter.sh"),
        ["a"],
        failed="bad_interpreter.sh",
        left=1,
    ),
    Case(
        "a service that stays after its stdin ended is ended by the drain",
        ours("never_ends.py"),
        ["a"],
        [b"a"],
        drain_s=1,
    ),
    Case(
        "a greeting that nobody asked for is a message",
        ours("talks_unasked.py"),
        ["a"],
        [b"hello", b"a"],
    ),
]

_FRAMINGS = [
    Case(
        "netstrings, newlines and all",
        ours("netstrings.py", framing="netstring"),
        ["a\nb", "c"],
        [b"A\nB", b"C"],
    ),
    Case(
        "length32, newlines and all",
        ours("length32.py", framing="length32"),
        ["a\nb", Message(b"\0x\n")],
        [b"A\nB", b"\0X\n"],
    ),
    Case("NUL between messages", service("cat", framing="nul"), ["a\nb", "c\n"], [b"a\nb", b"c\n"]),
    Case(
        "netstrings with one answer each",
        ours("netstrings.py", framing="netstring", replies="one"),
        ["a\nb", "c"],
        [b"A\nB", b"C"],
    ),
    *(
        Case(
            f"{framing}: a program that does '{word}' harms only that message",
            ours(file, framing=framing, replies="one", retries=0, timeout=3),
            ["before", word, "after"],
            [b"BEFORE", b"AFTER"],
            dead=[Dead(word.encode(), attempts=1)],
        )
        for framing, file, word in (
            ("netstring", "netstrings.py", "half"),
            ("netstring", "netstrings.py", "bad"),
            ("netstring", "netstrings.py", "liar"),
            ("netstring", "netstrings.py", "giant"),
            ("length32", "length32.py", "half"),
            ("length32", "length32.py", "giant"),
        )
    ),
]

SERVICE = [*_STREAMING, *_ONE, *_ANY, *_FRAMINGS]
