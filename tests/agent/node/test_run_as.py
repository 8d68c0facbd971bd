"""Programs as another user than the agent, as on an appliance."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.node import run
from agent.protocol import Tried, Try
from streams.control import OperatorState, TrialAsked
from streams.errors import SettingsError
from tests.agent.node.playing import ROOT, Manager, assigned, definition, running_agent

OTHER = "nobody"
root = pytest.mark.skipif(os.geteuid() != 0, reason="root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to which other users find their way: pytest's own is closed to them."""
    made = Path(tempfile.mkdtemp(prefix="run-as-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@root
@pytest.mark.parametrize(
    ("kind", "sandbox"), [("single", "none"), ("service", "none"), ("service", "strict")]
)
def test_programs_run_as_somebody_who_cannot_read_the_agents_file(
    manager: Manager, folder: Path, kind: str, sandbox: str
) -> None:
    program = folder / "program.sh"
    tries = f"cat {folder}/agent.json"
    program.write_text(f"while read x; do touch ~/mine; echo $(id -un) $x; {tries} || true; done")
    # a sandbox hides /tmp, where pytest is, but for the folder that the program begins in
    line = definition(
        f"sh {program}", process_type=kind, settle_s=0, sandbox=sandbox, cwd=str(folder)
    )
    with running_agent(folder, manager.node_url, run_as=OTHER) as agent:
        manager.heard()
        manager.assign(assigned(definition=line))
        manager.until(OperatorState.RUNNING)
        manager.publish("one")
        assert manager.outputs(1) == [f"{OTHER} one"]
        (mine,) = (folder / "scratch").rglob("mine")
        assert mine.owner() == OTHER
        agent.signal()
        assert agent.process.wait(30) == 0


@root
@pytest.mark.parametrize("sandbox", ["none", "strict"])
def test_a_trial_runs_as_that_user_in_the_folder_that_it_is_given(
    folder: Path, sandbox: str
) -> None:
    scratch = folder / "scratch"
    scratch.mkdir()
    shutil.chown(scratch, OTHER)
    (folder / "agent.json").touch(0o600)
    line = definition(f"touch mine; id -un; pwd; cat {folder}/agent.json", sandbox=sandbox)
    asked = TrialAsked(trial="t", node="n", definition=line, body="", content_type="text/plain")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent.trying"],
        input=Try(asked=asked, scratch=str(scratch), run_as=OTHER).model_dump_json().encode(),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    told = Tried.model_validate_json(done.stdout.splitlines()[-1]).told
    assert told.exit_status == "1"
    assert "agent.json" in told.stderr, "it may not read the agent's file"
    assert (scratch / "mine").owner() == OTHER


@root
def test_a_user_who_is_not_there_is_said(tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text('{"name": "n", "amqp_urls": ["amqp://u:p@127.0.0.1:1/"]}')
    with pytest.raises(SettingsError, match="--run-as nosuch: there is no such user"):
        run(config, run_as="nosuch")
