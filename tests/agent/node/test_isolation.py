"""Ending what carries a mark, and what a namespace takes with it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.node.isolation import Isolation, end_marked, isolation
from agent.protocol import MARK_VARIABLE
from tests.eventually import eventually


@contextmanager
def sleeping(**env: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/usr/bin/sleep", "60"], env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_mark_ends_its_own_and_its_familys_but_no_one_elses() -> None:
    with (
        sleeping(**{MARK_VARIABLE: "test-mark/1"}) as one,
        sleeping(**{MARK_VARIABLE: "test-mark/12"}) as twelve,
        sleeping(**{MARK_VARIABLE: "test-marked/1"}) as other,
        sleeping() as unmarked,
    ):
        assert end_marked("test-mark/1") == 1
        assert one.wait(10) == -9
        assert twelve.poll() is None

        assert end_marked("test-mark") == 1
        assert twelve.wait(10) == -9
        assert end_marked("test-mark") == 0
        assert other.poll() is unmarked.poll() is None


def test_marks_are_used_only_where_there_are_no_namespaces(tmp_path: Path) -> None:
    with_them = isolation("n", tmp_path, namespaces=True)
    assert with_them.prefix[0] == "setpriv"
    assert with_them.mark(1) is None
    family = Isolation(family="n-abc")
    assert family.prefix == ()
    assert family.mark(3) == "n-abc/3"


def test_the_probe_finds_out_by_itself(tmp_path: Path) -> None:
    # in a process of its own: where there are no namespaces it makes itself a subreaper
    script = (
        "import sys; from pathlib import Path; from agent.node.isolation import isolation\n"
        "ways = isolation('n', Path(sys.argv[1])); print(bool(ways.prefix) != bool(ways.family))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_what_a_namespace_holds_ends_with_its_first_process(tmp_path: Path) -> None:
    prefix = isolation("n", tmp_path, namespaces=True).prefix
    marker = f"{tmp_path.name}-inside"
    # the daemon has left session, group and parent behind
    script = f"setsid -f sh -c 'exec sleep 61.{abs(hash(marker)) % 10**6}' & exec sleep 60"
    with subprocess.Popen([*prefix, "sh", "-c", script]) as wrapper:
        needle = f"61.{abs(hash(marker)) % 10**6}".encode()
        eventually(lambda: _having(needle), what="the daemon runs")
        wrapper.kill()
    eventually(lambda: not _having(needle), what="the daemon is gone")


def _having(needle: bytes) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", needle]:
                found.append(entry.name)
    return found
