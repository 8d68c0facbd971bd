"""Builds that go wrong, go on, and change nothing; on real machines."""

import random
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.appliances.desk import Desk, over_ssh, value

pytestmark = pytest.mark.timeout(600)  # machines on a busy computer

#: Before and after each of a build's 12 steps: where a build is killed.
EDGES = range(1, 25)
SAMPLE = random.Random(7).sample(EDGES, 1)  # noqa: S311 the same one each time


def _images(desk: Desk, name: str) -> list[str]:
    lines = desk.fab("images").splitlines()
    return [line.split()[1] for line in lines if line.split()[2].partition("@")[0] == name]


@pytest.mark.long
def test_a_kept_build_goes_on_at_the_step_that_failed(desk: Desk) -> None:
    # Given a step that fails until somebody has been at the machine
    run = ["echo once >>/ran", "seq 30; echo $GREETING; test -e /mended"]
    path = desk.recipe("mended", run=run, environment={"GREETING": "good day"})
    said = desk.refused("build_appliance", "--recipe", path, "--on-error", "keep")
    # Then its last lines, its log and the way to the machine are said
    assert "fab: seq 30; echo $GREETING; test -e /mended: exit 1\n" in said
    assert "\n30\ngood day\n" in said
    log = Path(value(said, "log"))
    assert "install 2/2" in log.read_text()
    (kept,) = desk.left()
    assert f"{kept} is kept until " in said
    over_ssh(said, "touch /mended")
    # When it is built again, what was done isn't done again
    done = desk.run("build_appliance", "--recipe", path)
    assert f"going on with {kept}: 1 of 2 steps are done" in done.stderr
    assert done.returncode == 0, done.stderr
    assert not desk.left()
    machine = desk.fab("run_appliance", "--name", "mended")
    assert over_ssh(machine, "cat /ran") == "once\n"
    desk.fab("terminate", "--handle", value(machine, "handle"))


@pytest.mark.long
def test_a_failed_build_leaves_nothing_and_a_machine_of_other_content_is_not_gone_on_with(
    desk: Desk,
) -> None:
    path = desk.recipe("broken", run=["touch /first", "false"])
    desk.refused("build_appliance", "--recipe", path, "--on-error", "keep")
    (kept,) = desk.left()
    path = desk.recipe("broken", run=["touch /other", "false"])
    said = desk.refused("build_appliance", "--recipe", path)
    assert f"{kept}, kept from a failed build, is of no use" in said
    assert not desk.left()
    assert not _images(desk, "broken")


@pytest.mark.long
def test_an_image_whose_check_fails_is_not_promoted(desk: Desk) -> None:
    path = desk.recipe("unchecked", run=["touch /there"], checks=["test -e /there", "false"])
    assert "check failed: false" in desk.refused("build_appliance", "--recipe", path)
    assert not _images(desk, "unchecked")
    assert not desk.left()


@pytest.mark.long
def test_a_secret_reaches_a_step_and_never_the_image(desk: Desk) -> None:
    (desk.folder / ".streamboss" / "secrets").write_text("licence-key=open-sesame-42\n")
    (desk.folder / ".streamboss" / "secrets").chmod(0o600)
    used = "test ${#LICENCE_KEY} = 14; echo $LICENCE_KEY"
    more = "echo $LICENCE_KEY >/etc/l; "
    path = desk.recipe("secretive", run=[more + used], secrets=["licence-key"])
    done = desk.run("build_appliance", "--recipe", path)
    assert done.returncode == 1
    assert "is still in /etc/l" in done.stderr
    assert "***" in done.stderr
    assert not desk.left()
    path = desk.recipe("secretive", run=[used], secrets=["licence-key"])
    built = desk.run("build_appliance", "--recipe", path)
    assert built.returncode == 0, built.stderr
    logs = (desk.folder / ".streamboss" / "clouds" / "logs").iterdir()
    assert "sesame" not in done.stderr + built.stderr + "".join(log.read_text() for log in logs)


def _killed(desk: Desk, path: str, edge: int) -> int:
    """Kill a build at one edge of its steps; return its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "tests.appliances.killed_build", path, str(edge)],
        cwd=desk.folder,
        env=desk.environment,
        capture_output=True,
        timeout=300,
        check=False,
    ).returncode


@pytest.mark.parametrize(
    "edge", [e if e in SAMPLE else pytest.param(e, marks=pytest.mark.long) for e in EDGES]
)
def test_a_killed_build_is_cleared_up_by_the_next(desk: Desk, edge: int) -> None:
    path = desk.recipe(f"killed-{edge}", run=["true"], checks=["true"])
    assert _killed(desk, path, edge) == -signal.SIGKILL
    assert _killed(desk, path, 0) == 0
    assert not desk.left()
    assert len(_images(desk, f"killed-{edge}")) == 1


@pytest.mark.long
def test_a_build_has_so_many_edges(desk: Desk) -> None:
    path = desk.recipe("unharmed", run=["true"], checks=["true"])
    assert _killed(desk, path, len(EDGES) + 1) == 0


def _refusals(folder: Path) -> list[tuple[tuple[str, ...], str]]:
    missing = folder / "missing.yaml"
    missing.write_text("name: missing\nfrom: nothing\n")
    wrong = folder / "wrong.yaml"
    wrong.write_text("name: wrong\nform: {image: debian}\n")
    based = folder / "based.yaml"
    based.write_text("name: based\nfrom: {image: debian}\nsecrets: [nowhere]\nhours: 99999\n")
    return [
        (("build_appliance", "--recipe", str(missing)), "no image 'nothing'"),
        (("build_appliance", "--recipe", str(wrong)), "form: unknown key; did you mean 'from'?"),
        (("build_appliance", "--recipe", str(based)), "hours: 99999 is more than"),
        (("build_appliance", "--name", "nobody"), "nobody/recipe.yaml: No such file"),
        (("build_appliance", "--cloud", "nowhere"), "unknown cloud 'nowhere'"),
        (("build_appliance", "--on-error", "panic"), "must be cleanup or keep"),
        (("run_appliance", "--name", "nobody"), "makes one"),
        (
            ("run_appliance", "--name", "nobody", "--hours", "many"),
            "--hours many: must be a number",
        ),
        (("run_appliance", "--name", "debian", "--hours", "0"), "0 is no length of a lease"),
        (("run_appliance", "--name", "debian", "--size", "huge"), "unknown size 'huge'"),
        (("run_appliance", "--name", "debian", "--colour", "red"), "No idea what '--colour' is!"),
        (("terminate", "--handle", "i-none"), "no machine 'i-none' of ours"),
        (("renew", "--handle", "i-none", "--hours", "many"), "no machine 'i-none' of ours"),
        (("save_appliance", "--handle", "i-none", "--newname", "x"), "no machine 'i-none'"),
        (("create_stream", "--name", "a b"), "streamboss up"),
    ]


def test_bad_input_gets_one_clear_message(desk: Desk, tmp_path: Path) -> None:
    cases = _refusals(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda case: desk.refused(*case[0]), cases))
    for (words, said), answer in zip(cases, answers, strict=True):
        assert said in answer, words
    assert not desk.left()


def test_the_tasks_are_listed_as_they_are_typed(desk: Desk) -> None:
    listed = desk.fab("--list")
    for name in _TASKS:
        assert re.search(rf"^  {name} +[A-Z].*\.$", listed, re.MULTILINE), name


def test_a_dry_run_says_what_would_be_done_and_does_nothing(desk: Desk) -> None:
    path = desk.recipe("planned", packages=["imagemagick"], run=["true"])
    plan: Any = desk.fab("build_appliance", "--recipe", path, "--dry-run")
    for line in ("launch small", "packages: imagemagick", "run: true", "estimated price: nothing"):
        assert line in plan
    assert not desk.left()


_TASKS = (
    *("build_appliance", "run_appliance", "save_appliance", "terminate", "renew"),
    *("register_definition", "create_stream", "create_operation", "launch_operation"),
    *("stop_operation", "remove_operation", "clouds", "images", "nodes", "collect_garbage"),
)
