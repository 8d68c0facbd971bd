"""The scripts that people run by path: in the clone, through links, without an environment."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.main import COMMANDS

TOOLS = Path(__file__).parents[2] / "tools"
_CALL = re.compile(r'^    run\("([a-z-]+)"\)$', re.MULTILINE)
COMMAND_OF = {
    path.name: found[1]
    for path in sorted(TOOLS.glob("*.py"))
    if (found := _CALL.search(path.read_text()))
}
QUICKSTART = {
    "create_stream.py": "create-stream",
    "create_operation.py": "create-operation",
    "publish.py": "publish",
    "consume.py": "consume",
    "stream_file.py": "stream-file",
    "stream_boss.py": "manager",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose `streamboss` says how it was called."""
    clone = tmp_path / "a clone"
    shutil.copytree(TOOLS, clone / "tools", symlinks=True)
    program = clone / ".venv" / "bin" / "streamboss"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s|" "$@"; cat; exit 7\n')
    program.chmod(0o755)
    return clone


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
        input="stdin",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_quickstarts_scripts_are_there() -> None:
    assert QUICKSTART.items() <= COMMAND_OF.items()


@pytest.mark.parametrize("script", sorted(COMMAND_OF))
def test_a_script_is_its_command(clone: Path, tmp_path: Path, script: str) -> None:
    assert os.access(TOOLS / script, os.X_OK)
    command = COMMAND_OF[script]
    assert script in QUICKSTART or (
        command in COMMANDS and script == f"{command.replace('-', '_')}.py"
    )
    done = run(clone / "tools" / script, "--a", "b c", "", cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"{command}|--a|b c||stdin", "")
    assert done.returncode == 7


def test_scripts_are_found_through_links(clone: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "tools").symlink_to(clone / "tools")
    (place / "mk").symlink_to(clone / "tools" / "create_stream.py")
    (place / "mk2").symlink_to("mk")
    for script in ("tools/create_stream.py", "./mk", "./mk2"):
        assert run(script, "x", cwd=place).stdout == "create-stream|x|stdin"


def test_any_python_will_do_and_nothing_is_shadowed(clone: Path, tmp_path: Path) -> None:
    for python in filter(None, ("/usr/bin/python3", shutil.which("python3"))):
        done = run(python, "-I", "-c", "import sys; sys.exit(0)", cwd=tmp_path)
        assert done.returncode == 0
        script = clone / "tools" / "create_stream.py"
        assert run(python, "-S", script, cwd=tmp_path).stdout == "create-stream|stdin"


def test_without_an_environment_one_line_says_what_to_run(clone: Path, tmp_path: Path) -> None:
    shutil.rmtree(clone / ".venv")
    done = run(clone / "tools" / "create_stream.py", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "run 'make setup'" in done.stderr
    assert "Traceback" not in done.stderr
