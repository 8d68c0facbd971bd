"""Streams, operations and definitions as people type them, against a real manager."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import typer

from streams import control, names
from streams.broker import Session
from streams.control import Counters, Heartbeat, LogLines, OperatorReport, OperatorState
from streams.errors import StreamsError
from streams.message import Message
from tests.eventually import eventually
from tests.manager.serving import Api
from tests.manager.test_runtime import PlayedAgent
from tests.tools.typist import Typist
from tools.commands.subscriptions import meant
from tools.main import COMMANDS, build
from tools.names import missing_stream
from tools.overview import wrong

NUMBERS = count(1001)
UPPER = {"definition": {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}}


@pytest.fixture
def definition(module_api: Api) -> str:
    """The id of a definition."""
    return str(module_api.post("/api/process_definition/", UPPER).json()["id"])


@pytest.fixture
def operation(module_api: Api, definition: str) -> Iterator[str]:
    """A paused operation of the test's own, from `NAME-in` to `NAME-out`."""
    name = f"op{next(NUMBERS)}"
    body: dict[str, object] = {
        "input_stream": f"{name}-in",
        "output_stream": f"{name}-out",
        "demand": "paused",
    }
    body |= {"name": name, "process_definition_id": int(definition)}
    assert module_api.post("/api/operations/", body).status_code == 201
    yield name
    module_api.request("DELETE", f"/api/operations/{name}/")


def send(session: Session, operation: str, *bodies: str, dead: bool = False) -> None:
    """Put messages into an operation's queue, or among its dead letters."""
    exchange, key = ("operations.dead", operation) if dead else (f"streams.{operation}-in", "")
    for body in bodies:
        session.publish(exchange, Message(body.encode()), routing_key=key)


# making


def test_a_stream_is_made_once_and_twice_is_fine(typist: Typist) -> None:
    first, second = typist.run("create-stream", "once"), typist.run("create-stream", "once")
    assert (first.returncode, first.stdout) == (0, "")
    assert first.stderr == "stream 'once' created\n"
    assert (second.returncode, second.stderr) == (0, "stream 'once' exists already\n")


def test_an_operation_takes_the_options_of_the_api(
    typist: Typist, module_api: Api, definition: str
) -> None:
    options = ["--instances", "2-5", "--linger", "3", "--drain", "4", "--demand", "paused"]
    limits = ["--max-messages", "10", "--max-bytes", "20", "--max-age", "1.5"]
    made = ("create-operation", "optional", definition, "opt-in", "opt-out", *options, *limits)
    typist.must(*made)
    shown = module_api.get("/api/operations/optional/").json()
    assert shown["instances"] == {"min": 2, "max": 5}
    assert (shown["linger_s"], shown["drain_s"], shown["demand"]) == (3, 4, "paused")
    assert shown["backlog"] == {"max_messages": 10, "max_bytes": 20, "max_age_s": 1.5}
    again = typist.run(*made)
    assert (again.returncode, again.stderr) == (0, "operation 'optional' exists already\n")
    short = typist.run(*made[:5])  # what isn't said isn't compared
    assert short.returncode == 0
    other = typist.run(*made[:5], "--linger", "30")
    assert other.returncode == 1
    assert other.stderr.count("\n") == 1
    assert "exists already with other values: linger_s" in other.stderr


def test_every_problem_of_an_operation_is_named_at_once(typist: Typist, module_api: Api) -> None:
    before = module_api.get("/api/streams/").json()["meta"]["total_count"]
    refused = typist.run(
        "create-operation", "my operation", "7777", "same", "same", "--demand", "often"
    )
    assert refused.returncode == 1
    for text in ("'my operation'", "no process definition 7777", "feed itself", "demand: "):
        assert text in refused.stderr
    assert module_api.get("/api/streams/").json()["meta"]["total_count"] == before
    assert module_api.get("/api/operations/my%20operation/").status_code == 404


@pytest.mark.parametrize(
    "arguments",
    [
        ("create-stream",),
        ("create-stream", "a", "b"),
        ("create-operation", "op", "one", "a", "b"),
        ("create-operation", "op", "1", "a", "b", "--instances", "few"),
        ("redrive", "op", "--list", "--purge"),
        ("streams", "--yaml"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_ends_with_2(typist: Typist, arguments: tuple[str, ...]) -> None:
    done = typist.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["", "ä b", "ends.dead", "a" * 101])
def test_an_illegal_name_makes_nothing(typist: Typist, name: str) -> None:
    done = typist.run("create-stream", "--", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("streamboss: name: stream name ")


# definitions


def test_register_prints_the_id_alone(typist: Typist, module_api: Api) -> None:
    (typist.folder / "upper.json").write_text(json.dumps(UPPER))
    number = typist.must("register", "upper.json").removesuffix("\n")
    shown = module_api.get(f"/api/process_definition/{number}/").json()
    assert shown["definition"]["exec"] == "tr [a-z] [A-Z]"
    listed = [json.loads(line) for line in typist.must("definitions", "--json").splitlines()]
    assert shown in listed


def test_a_definition_is_changed_and_changed_back(typist: Typist, module_api: Api) -> None:
    (typist.folder / "upper.json").write_text(json.dumps(UPPER))
    number = typist.must("register", "upper.json").strip()
    fields = {**UPPER["definition"], "exec": "cat", "environment": {"KEY": "secret"}}
    (typist.folder / "cat.json").write_text(json.dumps({"definition": fields}))
    assert typist.must("register", "cat.json", "--id", number).strip() == number
    done = typist.run("restore-definition", number, "1")
    assert done.stderr == f"definition {number} (Upper) is at version 3\n"
    told = typist.must("definitions", number)
    assert 'exec: "tr [a-z] [A-Z]" -> "cat"; environment.KEY changed' in told
    assert "secret" not in told
    versions = [
        json.loads(line) for line in typist.must("definitions", number, "--json").split("\n")[:-1]
    ]
    assert [version["definition"]["exec"] for version in versions] == [
        "tr [a-z] [A-Z]",
        "cat",
        "tr [a-z] [A-Z]",
    ]
    typist.must("remove-definition", number, "--yes")
    refused = typist.run("definitions", number)
    assert refused.stderr == f"streamboss: there is no process definition {number}\n"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{", ["not JSON"]),
        ("[]", ['must be an object {"definition"']),
        ("\udcff", ["not JSON"]),
        (
            '{"definition": {"name": 3, "aplication": "x", "exec": "x", "timeout": -1}, "a": 1}',
            [
                "a: unknown field",
                "definition.name: ",
                "definition.aplication: unknown field",
                "definition.application: is missing",
                "definition.timeout: ",
            ],
        ),
        (None, ["No such file"]),
    ],
)
def test_a_definition_with_problems_names_them_all(
    typist: Typist, module_api: Api, text: str | None, problems: list[str]
) -> None:
    before = module_api.get("/api/process_definition/").json()["meta"]["total_count"]
    if text is not None:
        (typist.folder / "bad.json").write_bytes(text.encode(errors="surrogateescape"))
    refused = typist.run("register", "bad.json")
    assert (refused.returncode, refused.stdout) == (1, "")
    lines = refused.stderr.splitlines()
    assert len(lines) == len(problems)
    for problem in problems:
        assert any(line.startswith(f"streamboss: bad.json: {problem}") for line in lines)
    assert module_api.get("/api/process_definition/").json()["meta"]["total_count"] == before


# removing


def test_what_is_removed_says_what_goes_with_it(
    typist: Typist, module_session: Session, operation: str
) -> None:
    send(module_session, operation, "d", dead=True)
    used = typist.run("remove-stream", f"{operation}-in", "--yes")
    assert used.returncode == 1
    assert f"is used by operation '{operation}'" in used.stderr
    gone = typist.run("remove-operation", operation)
    assert (
        gone.stderr
        == f"operation '{operation}' removed, with no waiting messages and 1 dead letter\n"
    )
    eventually(lambda: typist.run("remove-stream", f"{operation}-in").returncode == 0)
    missing = typist.run("remove-stream", f"{operation}-in")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_removing_asks_on_a_terminal(
    typist: Typist, module_api: Api, operation: str, answer: str, status: int
) -> None:
    done = typist.on_terminal("remove-operation", operation, answers=answer)
    assert done.returncode == status, done.stdout
    assert "waiting message" in done.stdout
    there = module_api.get(f"/api/operations/{operation}/").status_code
    assert there == (404 if status == 0 else 200)


def test_a_subscription_goes_with_its_messages(typist: Typist, module_session: Session) -> None:
    typist.must("create-stream", "kept")
    queue = names.subscription_queue("kept", "nightly")
    module_session.call(lambda c: c.queue_declare(queue, durable=True))
    module_session.call(lambda c: c.queue_bind(queue, "streams.kept"))
    module_session.publish("streams.kept", Message(b"x"))

    def listed() -> bool:
        line = typist.must("subscriptions")
        return "kept\tnightly\t1\n" in line

    eventually(listed, what="the broker has counted the message")
    gone = typist.run("remove-subscription", "nightly")
    assert gone.stderr == "subscription 'nightly' removed, with 1 waiting message\n"
    assert typist.run("remove-subscription", "kept", "nightly").returncode == 1


def test_a_subscription_of_several_streams_is_asked_for_by_both_names() -> None:
    there = [
        {"stream": "a", "name": "x"},
        {"stream": "b", "name": "x"},
        {"stream": "b", "name": "y"},
    ]
    assert meant(there, ["y"]) == ("b", "y")
    assert meant(there, ["b", "x"]) == ("b", "x")
    with pytest.raises(StreamsError, match="say 'a x' or 'b x'"):
        meant(there, ["x"])
    with pytest.raises(StreamsError, match="there is no subscription 'z'"):
        meant(there, ["z"])


# in somebody's hand


@pytest.mark.parametrize(
    ("command", "demand"), [("launch", "always"), ("stop", "paused"), ("resume", "consumers")]
)
def test_an_operation_is_taken_in_hand(
    typist: Typist, module_api: Api, operation: str, command: str, demand: str
) -> None:
    typist.must(command, operation)
    assert module_api.get(f"/api/operations/{operation}/").json()["demand"] == demand
    missing = typist.run(command, "nowhere")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "'nowhere'" in missing.stderr


def test_waiting_messages_are_purged(
    typist: Typist, module_session: Session, operation: str
) -> None:
    send(module_session, operation, "x", dead=True)
    assert "1 dead letter sent back" in typist.run("redrive", operation).stderr
    purged = typist.run("purge", operation)
    assert purged.stderr == f"1 waiting message of operation '{operation}' thrown away\n"


def test_dead_letters_are_listed_sent_back_and_thrown_away(
    typist: Typist, module_session: Session, operation: str
) -> None:
    send(module_session, operation, "a\tb", "\x1b[2Jboo", "c", "d", dead=True)
    plain = typist.must("dead-letters", operation)
    assert len(plain.splitlines()) == 5
    assert "\ta b\n" in plain
    assert "\x1b" not in plain
    shown = [
        json.loads(line)
        for line in typist.must("redrive", operation, "--list", "--json").splitlines()
    ]
    assert [letter["body"] for letter in shown] == ["a\tb", "\x1b[2Jboo", "c", "d"]
    assert "1 dead letter sent back" in typist.run("redrive", operation, "--limit", "1").stderr
    purged = typist.run("redrive", operation, "--purge")
    assert purged.stderr == f"3 dead letters of operation '{operation}' thrown away\n"
    assert (
        typist.run("dead-letters", operation).stderr
        == f"operation '{operation}' has no dead letters\n"
    )


def test_logs_are_shown_and_followed(
    typist: Typist, module_session: Session, operation: str
) -> None:
    def said(*lines: str) -> None:
        about = LogLines(node="n1", operation=operation, at=time.time(), lines=lines)
        module_session.publish(
            names.CONTROL_EXCHANGE,
            Message(control.encode(about)),
            routing_key=control.log_key("n1"),
        )

    said("first", "\x1b[31mred")
    eventually(lambda: "first" in typist.must("logs", operation), what="the lines arrived")
    following = typist.start("logs", operation, "--follow")
    try:
        assert following.stdout
        assert following.stdout.readline().endswith(" n1  first\n")
        assert following.stdout.readline().endswith(" n1  \N{REPLACEMENT CHARACTER}[31mred\n")
        said("second")
        assert following.stdout.readline().endswith(" n1  second\n")
        following.terminate()
        assert following.communicate(timeout=10)[1] == ""
    finally:
        following.kill()
        following.communicate()


def test_instances_are_a_number_or_a_range(typist: Typist, operation: str) -> None:
    said = typist.run("instances", operation, "2-5").stderr
    assert said == f"operation '{operation}' works on 2-5 machines at once\n"
    shown = json.loads(typist.must("operations", "--json").splitlines()[-1])
    assert shown["instances"] == {"min": 2, "max": 5}
    assert typist.run("instances", operation, "some").returncode == 2
    assert "max must be at least min" in typist.run("instances", operation, "3-1").stderr


# lists


def test_the_operators_of_an_operation_are_listed_with_their_nodes(
    typist: Typist, module_session: Session, operation: str
) -> None:
    assert "runs nowhere: paused" in typist.run("operations", operation).stderr
    report = OperatorReport(
        operation=operation,
        revision=1,
        state=OperatorState.RUNNING,
        started_at=time.time(),
        counters=Counters(in_hand=3, acknowledged=40, restarts=2),
    )
    beat = Heartbeat(node="n1", incarnation="1", slots=1, offers=("any",), operators=(report,))
    said = Message(control.encode(beat))

    def listed() -> str:
        module_session.publish(
            names.CONTROL_EXCHANGE, said, routing_key=control.heartbeat_key("n1")
        )
        return typist.run("operations", operation).stdout

    text = eventually(listed, what="the operator is listed")
    head, row = (line.split("\t") for line in text.splitlines())
    assert head[:3] == ["node", "state", "since"]
    assert row[:2] == ["n1", "running"]
    assert row[3:] == ["3", "40", "2", "-"]


def test_a_list_is_a_table_on_a_terminal_and_tabs_in_a_pipe(typist: Typist, operation: str) -> None:
    shown = typist.on_terminal("operations").stdout
    assert "waiting" in shown
    assert "\t" not in shown
    assert "paused" in shown
    head, *rows = typist.must("operations").splitlines()
    assert head.split("\t")[:4] == ["name", "state", "input_stream", "output_stream"]
    (mine,) = [row.split("\t") for row in rows if row.startswith(f"{operation}\t")]
    assert mine[2:4] == [f"{operation}-in", f"{operation}-out"]
    assert len(mine) == len(head.split("\t"))
    objects = [json.loads(line) for line in typist.must("operations", "--json").splitlines()]
    assert operation in [thing["name"] for thing in objects]
    assert f'"output_stream": "{operation}-out"' in typist.must("operations", "--json")


def test_a_narrow_terminal_loses_nothing(typist: Typist) -> None:
    long = "l" * 100
    typist.must("create-stream", long)
    shown = typist.on_terminal("streams").stdout
    assert sum(line.count("l") for line in shown.splitlines() if "l" * 9 in line) == len(long)


def test_nothing_to_list_says_what_to_do(typist: Typist) -> None:
    done = typist.run("nodes")
    assert (done.returncode, done.stdout) == (0, "")
    assert "streamboss node add" in done.stderr


def test_a_reader_that_left_is_no_reason_to_complain(typist: Typist, operation: str) -> None:
    process = typist.start("operations", "--json")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    process.wait(10)
    process.stderr.close()


# who isn't there, or not let in


def test_a_wrong_password_is_said_in_one_line(typist: Typist) -> None:
    began = time.monotonic()
    done = typist.run("streams", STREAMBOSS_PASSWORD="wrong")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "STREAMBOSS_PASSWORD" in done.stderr
    assert time.monotonic() - began < 5


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where nobody picks up: its queue of callers is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as callers:
        for _ in range(4):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("command", ["streams", "status"])
def test_a_manager_that_isnt_there_is_said_within_5_s(
    typist: Typist, deaf: str, command: str
) -> None:
    for url in ("http://127.0.0.1:1", *([deaf] if command == "streams" else [])):
        began = time.monotonic()
        done = typist.run(command, STREAMBOSS_MANAGER_URL=url)
        assert time.monotonic() - began < 5
        assert done.returncode == 1
        said = done.stderr + done.stdout
        assert "not reachable" in said
        assert "Traceback" not in said


def test_no_manager_set_says_how_to_get_one(typist: Typist) -> None:
    done = typist.run("streams", STREAMBOSS_MANAGER_URL="")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "streamboss up" in done.stderr


# at a glance


def test_status_shows_a_manager_elsewhere_and_what_is_wrong(
    typist: Typist, module_api: Api, operation: str
) -> None:
    def told(*texts: str) -> bool:
        done = typist.run("status")
        return (done.returncode == 1) is bool(texts) and all(text in done.stdout for text in texts)

    # what other tests launched waits for a node, and is wrong after a while
    for line in typist.must("operations", "--json").splitlines():
        if json.loads(line)["state"] == "starting":
            typist.must("stop", json.loads(line)["name"])
    eventually(lambda: typist.run("status").returncode == 0, what="nothing is wrong")
    fine = typist.run("status")
    assert module_api.url in fine.stdout
    assert operation in fine.stdout
    typist.must("node", "add", "other")
    typist.must("launch", operation)
    agent = PlayedAgent(module_api.settings, "other", slots=1, offers="something-else").start()
    try:
        eventually(lambda: told(f"wrong: operation {operation}: failed: "), what="it has failed")
        shown = json.loads(typist.run("status", "--json").stdout)
        assert shown["manager_url"] == module_api.url
        assert [text for text in shown["problems"] if operation in text]
        typist.must("stop", operation)
        eventually(told, what="all is well again")
    finally:
        agent.stop()
    eventually(lambda: told("wrong: node other: l"), what="the node is late, or lost")
    typist.must("node", "remove", "other")
    eventually(told, what="nobody misses it")


@pytest.mark.parametrize(
    ("state", "seconds", "alarmed"),
    [("idle", 99, False), ("running", 99, False), ("starting", 5, False), ("starting", 20, True)],
)
def test_what_starts_for_too_long_is_wrong(state: str, seconds: int, alarmed: bool) -> None:
    now = datetime.now(UTC)
    since = (now - timedelta(seconds=seconds)).isoformat()
    found = wrong([{"name": "op", "state": state, "reason": "no node", "since": since}], [], now)
    assert bool(found) is alarmed
    assert all("op" in text and "no node" in text for text in found)


def test_every_command_is_listed_under_a_heading(typist: Typist) -> None:
    listed = typist.must("--help")
    assert [command for command in COMMANDS if f" {command} " not in listed] == []
    assert " Commands " not in listed


def test_every_command_has_an_example() -> None:
    def without_example(command: Any, path: str) -> list[str]:
        if below := getattr(command, "commands", {}):
            return [p for name, c in below.items() for p in without_example(c, f"{path} {name}")]
        return [] if "Example: " in command.help and path in command.help else [path]

    assert without_example(typer.main.get_command(build()), "streamboss") == []


def test_names_are_completed_and_silence_is_kept_without_a_manager(
    typist: Typist, operation: str, deaf: str
) -> None:
    def completed(line: str, **more: str) -> subprocess.CompletedProcess[str]:
        asking = {"_STREAMBOSS_COMPLETE": "complete_bash", "COMP_WORDS": line}
        return typist.run(COMP_CWORD=str(line.count(" ")), **asking, **more)

    assert completed(f"streamboss stop {operation[:-1]}").stdout.split() == [operation]
    assert completed(f"streamboss remove-stream {operation}-o").stdout.split() == [
        f"{operation}-out"
    ]
    assert "remove-stream" in completed("streamboss rem").stdout.split()
    began = time.monotonic()
    nothing = completed("streamboss stop ", STREAMBOSS_MANAGER_URL=deaf)
    assert (nothing.stdout.strip(), nothing.stderr) == ("", "")
    assert time.monotonic() - began < 3


def test_a_missing_stream_is_hinted_at(
    typist: Typist, deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typist.must("create-stream", "parcels")
    for name in ("STREAMBOSS_MANAGER_URL", "STREAMBOSS_USER", "STREAMBOSS_PASSWORD"):
        monkeypatch.setenv(name, typist.environment[name])
    assert missing_stream("parcel") == (
        "there is no stream 'parcel'; did you mean 'parcels'?"
        " 'streamboss create-stream parcel' creates it"
    )
    monkeypatch.setenv("STREAMBOSS_MANAGER_URL", deaf)
    began = time.monotonic()
    assert "'streamboss create-stream parcel' creates it" in missing_stream("parcel")
    assert time.monotonic() - began < 2
    for url in ("nonsense", "http://[::1", "http://exa mple:99999999", ""):
        monkeypatch.setenv("STREAMBOSS_MANAGER_URL", url)
        assert "there is no stream 'parcel'" in missing_stream("parcel")
