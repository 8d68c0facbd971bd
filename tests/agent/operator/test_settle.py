"""What the kernel says of real programs: done, working, or not to be told."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.operator.settle import Settling
from tests.eventually import eventually

SETTLE_S = 0.3

AT_ONCE = {
    "cat": "cat",
    "sed": "sed -u s/a/b/",
    "grep": "grep --line-buffered x",
    "awk": "awk '{ print; fflush() }'",
    "perl": "perl -ne 'print'",
    "python": "python3 -u -c 'import sys\nfor line in sys.stdin: print(line)'",
    "a shell's loop": 'while read line; do echo "$line"; done',
    "a pipeline": "grep --line-buffered x | tr x y",
    "a pool of idle threads": (
        "python3 -c 'import sys, concurrent.futures as c; p = c.ThreadPoolExecutor(2);"
        ' list(p.map(str, "ab")); [print(l) for l in sys.stdin]\''
    ),
}
IN_TIME = {
    "a program that polls": (
        "python3 -c 'import selectors, sys; s = selectors.DefaultSelector();"
        " s.register(0, 1)\nwhile s.select(): sys.stdin.readline()'"
    ),
    "a thread that sleeps beside the reader": (
        "python3 -c 'import sys, threading, time;"
        " threading.Thread(target=time.sleep, args=(50,), daemon=True).start();"
        " [print(l) for l in sys.stdin]'"
    ),
    "a dead child not waited for": (
        "python3 -c 'import os, sys\nos.fork() or os._exit(0)\nfor l in sys.stdin: print(l)'"
    ),
}
NEVER = {
    "it sleeps": "sleep 50",
    "it counts": "while :; do :; done",
    "it reads something else": "python3 -c 'import os; os.read(os.pipe()[0], 1)'",
    "it sleeps at the end of a pipeline": "cat | sleep 50",
}


@contextmanager
def _running(line: str) -> Iterator[subprocess.Popen[bytes]]:
    read, write = os.pipe()  # an output that nobody writes to and nobody ends
    process = subprocess.Popen(
        ["/bin/sh", "-c", line],
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        os.close(read)
        os.close(write)


def _settling(process: subprocess.Popen[bytes], settle_s: float) -> Settling:
    return Settling(process.pid, settle_s=settle_s, strays=list)


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_program_that_waits_for_input_is_done_at_once(name: str) -> None:
    with _running(AT_ONCE[name]) as process:
        settling = _settling(process, settle_s=1000)
        eventually(lambda: settling.settled(time.monotonic()), what="settled")
        assert process.stdin is not None
        process.stdin.write(b"x\n")
        process.stdin.flush()
        eventually(lambda: settling.settled(time.monotonic()), what="settled again")


@pytest.mark.parametrize("name", IN_TIME)
def test_a_program_that_might_wait_for_something_else_is_done_in_time(name: str) -> None:
    with _running(IN_TIME[name]) as process:
        patient, settling = _settling(process, 1000), _settling(process, SETTLE_S)
        eventually(lambda: settling.settled(time.monotonic()), what="settled")
        assert settling.quiet_since <= time.monotonic() - SETTLE_S
        assert not patient.settled(time.monotonic())


@pytest.mark.parametrize("name", NEVER)
def test_a_program_at_work_is_never_done(name: str) -> None:
    with _running(NEVER[name]) as process:
        settling = _settling(process, SETTLE_S)
        time.sleep(0.5)  # let the shell get there: before, it may wait for what it is starting
        until = time.monotonic() + 3 * SETTLE_S
        while time.monotonic() < until:
            assert not settling.settled(time.monotonic())
            time.sleep(0.02)


def test_half_a_line_is_waited_for() -> None:
    with _running("cat") as process:
        settling = _settling(process, SETTLE_S)
        eventually(lambda: settling.settled(time.monotonic()), what="settled")
        began = time.monotonic()
        eventually(lambda: settling.settled(time.monotonic(), half=True), what="settled in time")
        assert time.monotonic() - began >= SETTLE_S


def test_a_pipeline_that_falls_apart_is_never_done() -> None:
    """While one of several children ends, the kernel's list of them may leave out the others."""
    with _running("while :; do :; done"), _running("while :; do :; done"):  # ends come slowly
        for _ in range(300):
            with _running("no-such-program | cat") as process:
                settling = _settling(process, settle_s=1000)
                while process.poll() is None:
                    assert not settling.settled(time.monotonic())
