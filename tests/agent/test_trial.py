"""A definition's program on the desk, without a broker."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import trial
from agent.operator.sandbox import Sandbox
from streams.definition import ProcessDefinition


def _definition(exec_: str, **fields: object) -> ProcessDefinition:
    raw = {"name": "n", "application": "a", "exec": exec_, "timeout": 10, **fields}
    return ProcessDefinition.from_mapping(raw)


def test_single_is_one_process_for_each_message() -> None:
    result = trial.run(_definition("tr [a-z] [A-Z]"), [b"one", b"two"])
    assert result.outputs == [b"ONE", b"TWO"]
    assert [run.ok for run in result.runs] == [True, True]


def test_a_failing_program_shows_its_status_and_its_stderr() -> None:
    result = trial.run(_definition("echo sorry >&2; exit 3"), [b"one"])
    assert result.outputs == []
    assert not result.ok
    (run,) = result.runs
    assert run.exit is not None
    assert (run.exit.code, run.stderr) == (3, "sorry\n")


def test_a_program_that_is_not_there_is_named() -> None:
    (run,) = trial.run(_definition("/nowhere/x"), [b"one"]).runs
    assert run.problem == "program '/nowhere/x' doesn't exist"


def test_a_time_out_ends_it() -> None:
    (run,) = trial.run(_definition("sleep 100", timeout=0.2), [b"one"]).runs
    assert run.problem == "no answer within 0.2 s (timeout)"


@pytest.mark.parametrize("exec_", ["cat", "tr a A", "sed -u s/x/x/"])
def test_a_service_answers_while_its_input_is_open(exec_: str) -> None:
    result = trial.run(_definition(exec_, process_type="service"), [b"x", b"y"])
    assert result.outputs == [b"x", b"y"]
    assert result.ok
    assert not result.held_back


def test_a_service_that_keeps_its_output_to_itself_is_told() -> None:
    program = "env -u LD_PRELOAD -u PYTHONUNBUFFERED tr x y"
    result = trial.run(_definition(program, process_type="service"), [b"x"])
    assert result.outputs == [b"y"]
    assert result.held_back


def test_a_service_that_never_settles_is_ended() -> None:
    result = trial.run(_definition("sleep 100", process_type="service", timeout=0.3), [b"x"])
    assert result.runs[0].problem == "no answer within 0.3 s (timeout)"


def test_output_without_end_is_cut() -> None:
    (run,) = trial.run(_definition("yes", max_output_bytes=1000), [b"x"]).runs
    assert run.problem == "more than 1000 bytes of output"


def test_a_service_answers_before_the_next_message_is_there() -> None:
    came: list[bytes] = []

    def typed() -> Iterator[bytes | None]:
        for count in (1, 2):
            yield b"x"
            while len(came) < count:
                yield None

    result = trial.run(_definition("cat", process_type="service"), typed(), on_output=came.append)
    assert (result.outputs, came) == ([b"x", b"x"], [b"x", b"x"])


def test_waiting_for_more_input_is_no_time_out() -> None:
    def slow() -> Iterator[bytes | None]:
        until = time.monotonic() + 1.5
        yield b"x"
        while time.monotonic() < until:
            yield None

    assert trial.run(_definition("cat", process_type="service", timeout=0.7), slow()).ok


def test_a_service_that_ends_by_itself_has_failed() -> None:
    (run,) = trial.run(_definition("head -n 1", process_type="service"), [b"a", b"b"]).runs
    assert run.problem == "the program ended: exit status 0"


@pytest.mark.parametrize(
    ("exec_", "problem"),
    [
        ("sed -u p", "answered without being asked: 'replies: one' is one answer each"),
        ("sed -u d", "gave 0 answers to 2 messages: 'replies: one' is one answer each"),
        ("sed -u s/.*//", ""),
    ],
)
def test_with_replies_one_answers_are_counted(exec_: str, problem: str) -> None:
    definition = _definition(exec_, process_type="service", replies="one")
    (run,) = trial.run(definition, [b"a", b"b"]).runs
    assert run.problem == problem


def test_a_sandbox_is_the_same_on_the_desk() -> None:
    result = trial.run(_definition("ls -A /run; ls /tmp | wc -l", sandbox="strict"), [b"x"])
    # /run is empty, and /tmp holds only the way to the program's own folder
    assert result.outputs == [b"1"]


@pytest.mark.parametrize("kind", ["single", "service"])
def test_where_the_kernel_gives_no_namespaces_a_sandbox_says_so(kind: str) -> None:
    # Given a place without rights and without user namespaces
    fields = f"exec='cat', sandbox='strict', process_type={kind!r}"
    script = f"""
from agent import trial
from streams.definition import ProcessDefinition
line = ProcessDefinition(name='n', application='a', {fields})
print(trial.run(line, [b'x']).runs[0].problem)
"""
    place = "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all"
    command = f'{place} --inh-caps=-all {sys.executable} -c "$0"'
    # When a program is to run in a sandbox there, then the reason is one line
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", command, script],
        check=True,
        capture_output=True,
        text=True,
    )
    assert re.fullmatch(r"sandbox 'strict' isn't possible here: .+\n", done.stdout)


def test_what_a_sandbox_hides_is_said(tmp_path: Path) -> None:
    sandbox = Sandbox(home=str(tmp_path), folder=str(tmp_path))
    hidden = sandbox.problem("/tmp/somebodys/program", None)
    assert hidden is not None
    assert "hidden" in hidden
    assert sandbox.problem(f"{tmp_path}/program", None) is None
