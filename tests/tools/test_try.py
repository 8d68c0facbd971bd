"""`streamboss try` as people type it: no broker, no manager, only the program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _try(
    folder: Path, exec_: str, stdin: bytes, *options: str, **fields: object
) -> subprocess.CompletedProcess[bytes]:
    definition = {"name": "n", "application": "a", "exec": exec_, "timeout": 20, **fields}
    (folder / "definition.json").write_text(json.dumps({"definition": definition}))
    return subprocess.run(
        [sys.executable, "-m", "tools.main", "try", "definition.json", *options],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_each_line_is_a_message_and_answers_are_lines(tmp_path: Path) -> None:
    done = _try(tmp_path, "tr [a-z] [A-Z]", b"one\ntwo")
    assert (done.returncode, done.stdout) == (0, b"ONE\nTWO\n")
    assert b"2 in, 2 out" in done.stderr
    assert b"exit status 0" in done.stderr
    assert b"ms each" in done.stderr


def test_an_empty_answer_is_no_message(tmp_path: Path) -> None:
    done = _try(tmp_path, "grep b || true", b"a\nb\nc\n")
    assert (done.returncode, done.stdout) == (0, b"b\n")
    assert b"3 in, 1 out" in done.stderr


def test_all_of_stdin_may_be_one_message_of_any_bytes(tmp_path: Path) -> None:
    body = bytes(range(256)) * 1000
    done = _try(tmp_path, "cat", body, "--whole")
    assert (done.returncode, done.stdout) == (0, body)


FAILURES = [
    ("echo sorry >&2; exit 3", {}, ["message 1: exit status 3: 3 more attempts", "sorry"]),
    ("exit 65", {}, ["message 1: exit status 65: no other attempt, the dead letters"]),
    ("exit 75", {}, ["message 1: exit status 75: try again later"]),
    ("kill -9 $$", {"retries": 0}, ["message 1: signal SIGKILL: 0 more attempts"]),
    ("sleep 60", {"timeout": 0.2}, ["no answer within 0.2 s (timeout): 3 more attempts"]),
    ("/nowhere/x", {}, ["program '/nowhere/x' doesn't exist", "would be 'failed'"]),
    ("cat", {"cwd": "/nowhere"}, ["/nowhere"]),
    ("yes", {"max_output_bytes": 1000}, ["more than 1000 bytes of output"]),
    ("head -n 1", {"process_type": "service"}, ["the program ended: exit status 0"]),
    ("exit 4", {"process_type": "service"}, ["the program ended: exit status 4"]),
    ("sleep 60", {"process_type": "service", "timeout": 0.2}, ["no answer within 0.2 s"]),
    (
        "sed -u p",
        {"process_type": "service", "replies": "one"},
        ["answered without being asked: 'replies: one' is one answer each"],
    ),
    (
        "grep --line-buffered a",
        {"process_type": "service", "replies": "one"},
        ["gave 1 answers to 2 messages"],
    ),
]


@pytest.mark.parametrize(("exec_", "fields", "said"), FAILURES)
def test_a_failing_program_is_told_with_the_reason_that_an_operation_would_give(
    tmp_path: Path, exec_: str, fields: dict[str, object], said: list[str]
) -> None:
    done = _try(tmp_path, exec_, b"a\nb\n", **fields)
    text = done.stderr.decode()
    assert done.returncode == 1
    assert all(part in text for part in said), text
    assert "Traceback" not in text


def test_many_failures_are_counted(tmp_path: Path) -> None:
    text = _try(tmp_path, "exit 1", b"a\n" * 8).stderr.decode()
    assert "failed: 3 more" in text


def test_a_program_that_keeps_its_output_to_itself_is_told_what_to_do(tmp_path: Path) -> None:
    program = "env -u LD_PRELOAD tr x y"
    done = _try(tmp_path, program, b"x\nx\n", process_type="service")
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b"y\ny\n")
    assert "block-buffered" in text
    assert all(hint in text for hint in ("flush=True", "python3 -u", "--line-buffered", "stdbuf"))


def test_one_answer_each_is_noticed(tmp_path: Path) -> None:
    hint = b'"replies": "one"'
    once = _try(tmp_path, "tr x y", b"x\nx\n", process_type="service")
    assert hint in once.stderr
    assert b"block-buffered" not in once.stderr
    assert hint not in _try(tmp_path, "sed p", b"x\nx\n", process_type="service").stderr
    one = _try(tmp_path, "tr x y", b"x\nx\n", process_type="service", replies="one")
    assert (one.returncode, hint in one.stderr) == (0, False)


def test_a_service_answers_while_its_input_is_being_typed(tmp_path: Path) -> None:
    definition = {"name": "n", "application": "a", "process_type": "service", "exec": "tr x y"}
    (tmp_path / "d.json").write_text(json.dumps({"definition": definition}))
    with subprocess.Popen(
        [sys.executable, "-m", "tools.main", "try", "d.json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(b"x\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"y\n"
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("expected", "status", "said"),
    [
        ("ONE\nTWO\n", 0, []),
        ("ONE\nTWO", 0, []),
        ("ONE\nDUE\n", 1, ["-DUE", "+TWO", "not what was expected"]),
        ("ONE\n", 1, ["+TWO"]),
    ],
)
def test_what_comes_out_is_compared(
    tmp_path: Path, expected: str, status: int, said: list[str]
) -> None:
    (tmp_path / "expected.txt").write_text(expected)
    done = _try(tmp_path, "tr [a-z] [A-Z]", b"one\ntwo\n", "--expect", "expected.txt")
    assert done.returncode == status
    assert all(part in done.stderr.decode() for part in said)


def test_other_framings_on_both_sides(tmp_path: Path) -> None:
    done = _try(tmp_path, "cat", b"a\nb\0c\0", "--framing", "nul")
    assert (done.returncode, done.stdout) == (0, b"a\nb\0c\0")


def test_json_has_a_line_for_each_message_and_one_for_the_result(tmp_path: Path) -> None:
    done = _try(tmp_path, "echo hm >&2; cat; exit 3", b"a\n", "--json")
    (summary,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert summary["ok"] is False
    (run,) = summary["runs"]
    assert (run["exit_status"], run["problem"], run["stderr"]) == ("3", "exit status 3", "hm\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "definition.json: not JSON"),
        ('{"definition": {"name": "n"}}', "definition.json: definition.exec: is missing"),
    ],
)
def test_a_definition_with_problems_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "definition.json").write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "tools.main", "try", "definition.json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert problem in done.stderr
