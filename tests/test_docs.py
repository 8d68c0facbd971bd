"""What the README shows is what happens; what the docs name is there."""

import re
import shutil
import subprocess

from tests.embedded import ROOT, kill_stack, stack_folder_of_a_test
from tools.main import COMMANDS

_BLOCK = re.compile(r"<!-- run: quickstart -->\n```console\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
DEADLINE_S = 120


def _script(readme: str) -> tuple[str, list[str]]:
    """Return the commands of the quickstart, each output waited for, and the outputs in order."""
    lines, outputs = ["set -e", "exec 2>&1"], list[str]()
    within = ""
    for line in "".join(_BLOCK.findall(readme)).splitlines():
        if within:
            lines.append(line)
            within = "" if line == within else within
        elif line.startswith("$ "):
            lines.append(line.removeprefix("$ "))
            within = "END" if "<<" in line else ""
            if line.endswith(" &"):
                lines.append(_AT_WORK)
        else:
            outputs.append(line)
            lines.append("sleep 1")  # what a background command prints comes when it comes
    return "\n".join([*lines, "kill $(jobs -p)", "streamboss down"]), outputs


#: A person reads on until the operation is at work; what is published before isn't for it.
_AT_WORK = (
    'for n in $(seq 100); do streamboss operations --json | grep -q \'"state": "idle"\''
    " || break; sleep 0.1; done;"
    " for n in $(seq 100); do streamboss operations --json | grep -qE '\"(idle|starting)\"'"
    " || break; sleep 0.1; done"
)


def test_the_readmes_quickstart_does_what_it_says() -> None:
    script, outputs = _script((ROOT / "README.md").read_text())
    assert len(outputs) >= 4
    with stack_folder_of_a_test() as folder:
        for name in ("tools", ".venv"):
            (folder / name).symlink_to(ROOT / name)
        done = subprocess.run(
            ["/bin/bash", "-c", script],
            cwd=folder,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        kill_stack(folder)
    assert done.returncode == 0, done.stdout
    printed = iter(done.stdout.splitlines())
    for output in outputs:
        assert any(line == output for line in printed), f"{output!r} is missing in:\n{done.stdout}"


def test_every_command_is_described_and_every_described_one_exists() -> None:
    text = (ROOT / "docs" / "using.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`([a-z-]+)[^`]*`", row)}
    assert set(COMMANDS) <= described | {"nodes"}


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in _LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_console_commands_of_the_docs_exist() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for name in re.findall(r"^\$ streamboss ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert name in COMMANDS, f"{page.name}: {name}"
        for script in re.findall(r"^\$ (?:.*\| )?(tools/\w+\.py)", page.read_text(), re.MULTILINE):
            assert (ROOT / script).exists(), f"{page.name}: {script}"


def test_the_fab_tasks_of_the_docs_exist() -> None:
    tasks = re.findall(r"^@task\ndef (\w+)", (ROOT / "fabfile.py").read_text(), re.MULTILINE)
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for name in re.findall(r"^\$ fab (\w+)", page.read_text(), re.MULTILINE):
            assert name in tasks, f"{page.name}: {name}"


def test_make_is_there_for_everybody() -> None:
    assert shutil.which("make")
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "check", "test", "demo", "up", "down"):
        assert re.search(rf"^{target}\s", shown, re.MULTILINE)


def test_the_files_that_the_walk_through_asvs_names_exist() -> None:
    page = (ROOT / "docs" / "asvs.md").read_text()
    named = set(re.findall(r"`([\w/.]+/[\w.]*|[\w/]+\.py)`", page))
    assert len(named) >= 20
    missing = [n for n in named if not (ROOT / n).exists() and not (ROOT / "tests" / n).exists()]
    assert missing == []


def test_the_tests_that_the_promises_name_exist() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 20
    for file, name in named:
        assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
    # each row of promises names one, or a target of make
    rows = page.partition("| promise |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) >= 15
    assert all("`tests/" in row or "`make " in row for row in rows)
