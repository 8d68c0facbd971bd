"""`apply` and `export` as people type them, against a real manager."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manager.model import Role
from streams.settings import Settings
from tests.manager.serving import ADMIN, Api, serving
from tools.pipeline_file import Wanted, parse

ROOT = Path(__file__).parents[2]

FILE = """\
streams: [raw, extra]
definitions:
  - {name: upper, application: text, exec: "tr [a-z] [A-Z]"}
operations:
  - {name: shout, definition: upper, input_stream: raw, output_stream: loud, linger_s: 5}
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[Api]:
    with serving(settings, f"sqlite:///{tmp_path}/manager.db") as served:
        yield served


@pytest.fixture
def streamboss(api: Api, tmp_path: Path) -> Command:
    """Run a command against the manager, in a folder that holds `pipeline.yaml`."""
    (tmp_path / "pipeline.yaml").write_text(FILE)
    return lambda *words, login=ADMIN, **options: subprocess.run(
        _words(*words),
        cwd=tmp_path,
        env=_environment(api, login),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def _words(*words: str) -> list[str]:
    return [sys.executable, "-m", "tools.main", *words]


def _environment(api: Api, login: tuple[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STREAMBOSS_MANAGER_URL": api.url,
        "STREAMBOSS_USER": login[0],
        "STREAMBOSS_PASSWORD": login[1],
    }


def test_apply_twice_is_the_same_as_once(streamboss: Command, api: Api) -> None:
    first = streamboss("apply", "pipeline.yaml", "--yes")
    assert (first.returncode, first.stderr) == (0, "5 made so\n")
    assert "+ operation shout" in first.stdout
    shout = api.get("/api/operations/shout/").json()
    assert (shout["linger_s"], shout["input_stream"]) == (5, "raw")
    second = streamboss("apply", "pipeline.yaml")
    assert (second.returncode, second.stderr) == (0, "nothing to change\n")
    assert api.get("/api/operations/shout/").json()["revision"] == shout["revision"]
    assert len(api.get("/api/process_definition/").json()["objects"]) == 1


def test_apply_changes_only_what_differs(streamboss: Command, api: Api, tmp_path: Path) -> None:
    streamboss("apply", "pipeline.yaml", "--yes")
    api.request("PATCH", "/api/operations/shout/", {"demand": "paused"})
    changed = FILE.replace("[A-Z]", "[0-9]").replace("linger_s: 5", "linger_s: 6")
    (tmp_path / "pipeline.yaml").write_text(changed)
    done = streamboss("apply", "pipeline.yaml", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["fields"] for line in lines if line["act"] == "change"] == [
        {"exec": {"old": "tr [a-z] [A-Z]", "new": "tr [a-z] [0-9]"}},
        {"linger_s": {"old": 5, "new": 6}},
    ]
    shout = api.get("/api/operations/shout/").json()
    assert (shout["demand"], shout["linger_s"]) == ("paused", 6)
    assert api.get("/api/process_definition/1/").json()["definition"]["exec"] == "tr [a-z] [0-9]"


def test_apply_only_looks_when_told_so(streamboss: Command, api: Api) -> None:
    looked = streamboss("apply", "pipeline.yaml", "--dry-run")
    assert looked.returncode == 0
    assert "+ stream raw" in looked.stdout
    assert api.get("/api/operations/").json()["objects"] == []


def test_apply_without_anybody_to_ask_says_what_to_do(streamboss: Command, api: Api) -> None:
    asked = streamboss("apply", "pipeline.yaml")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert api.get("/api/operations/").json()["objects"] == []


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("y\n", 0)])
def test_apply_asks_on_a_terminal(
    streamboss: Command, api: Api, tmp_path: Path, answer: str, status: int
) -> None:
    here, there = pty.openpty()
    process = subprocess.Popen(
        _words("apply", "pipeline.yaml"),
        cwd=tmp_path,
        env=_environment(api, ADMIN),
        stdin=there,
        stderr=there,
        stdout=subprocess.PIPE,
    )
    os.write(here, answer.encode())
    process.communicate(timeout=60)
    os.close(there)
    os.close(here)
    assert process.returncode == status
    assert len(api.get("/api/operations/").json()["objects"]) == 1 - status


def test_a_file_with_problems_changes_nothing_and_names_them_all(
    streamboss: Command, api: Api, tmp_path: Path
) -> None:
    broken = FILE.replace("linger_s: 5", "linger_s: -5, colour: red")
    (tmp_path / "pipeline.yaml").write_text(broken)
    refused = streamboss("apply", "pipeline.yaml", "--yes")
    assert refused.returncode == 1
    assert "pipeline.yaml: operations.'shout'.linger_s:" in refused.stderr
    assert "pipeline.yaml: operations.'shout'.colour: unknown field" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert api.get("/api/process_definition/").json()["objects"] == []


def test_what_export_writes_apply_takes_back_unchanged(
    streamboss: Command, api: Api, tmp_path: Path
) -> None:
    streamboss("apply", "pipeline.yaml", "--yes")
    assert streamboss("export", "again.yaml").returncode == 0
    again = streamboss("apply", "again.yaml")
    assert (again.returncode, again.stderr) == (0, "nothing to change\n")
    written = streamboss("export").stdout
    assert written == (tmp_path / "again.yaml").read_text()
    for path in ("operations/shout", "streams/extra", "process_definition/1"):
        api.request("DELETE", f"/api/{path}/")
    anew = streamboss("apply", "again.yaml", "--yes")
    assert anew.returncode == 0, anew.stderr
    assert streamboss("export").stdout == written


def test_each_user_has_definitions_of_their_own(streamboss: Command, api: Api) -> None:
    streamboss("apply", "pipeline.yaml", "--yes")
    login = api.add_user("ada", Role.USER)
    exported = streamboss("export", login=login)
    assert parse(exported.stdout) == Wanted()
    refused = streamboss("apply", "pipeline.yaml", "--yes", login=login)
    assert refused.returncode == 1
    assert "operation shout" in refused.stderr
    assert "belongs to 'boss'" in refused.stderr
    assert "1 made before" in refused.stderr


def test_a_manager_that_is_not_there_is_said_in_one_line(
    streamboss: Command, api: Api, tmp_path: Path
) -> None:
    env = {**_environment(api, ADMIN), "STREAMBOSS_MANAGER_URL": "http://127.0.0.1:1"}
    failed = subprocess.run(
        _words("apply", "pipeline.yaml", "--yes"),
        cwd=tmp_path,
        env=env,
        text=True,
        capture_output=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "not reachable" in failed.stderr
