"""The parts of a build that decide, without a machine."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliances import uses
from appliances.recipe import PythonEntry, Recipe, load
from appliances.steps import content_hash, left, steps
from appliances.wheels import Wheels, selected
from provision.errors import ProvisionError
from provision.machine import Image
from tests.embedded import ROOT

BASE = Image("local", "img-1", "base", available=True, created_at=datetime(2026, 1, 1, tzinfo=UTC))
LOCK = """\
alone==1 \\
    --hash=sha256:aa
    # via us
boto3==1 \\
    --hash=sha256:bb
    # via us
boto-core==2 ; python_version > "3" \\
    --hash=sha256:cc \\
    --hash=sha256:dd
    # via
    #   boto3
    #   moto
jmespath==3 \\
    --hash=sha256:ee
    # via boto-core
"""


def _recipe(folder: Path, **more: Any) -> Recipe:
    (folder / "program").write_text(more.pop("program", "one"))
    file = {"source": "program", "target": "/opt/program", "mode": "0755"}
    base = {"name": "x", "from": "y", "files": [file], "run": ["true"], **more}
    (folder / "recipe.yaml").write_text(json.dumps(base))
    return load(folder / "recipe.yaml")


def _hash(folder: Path, base: Image = BASE, **more: Any) -> str:
    recipe = _recipe(folder, **more)
    return content_hash(recipe, steps(recipe, folder), base)


@pytest.mark.parametrize(
    "more",
    [
        {"program": "two"},
        {"run": ["false"]},
        {"packages": ["imagemagick"]},
        {"environment": {"A": "b"}},
        {"secrets": ["s"]},
        {"checks": ["true"]},
        {"sample": {"input": "a", "output": "b", "exec": "c"}},
    ],
)
def test_other_content_is_another_hash(tmp_path: Path, more: dict[str, Any]) -> None:
    assert _hash(tmp_path, **more) != _hash(tmp_path)


def test_another_base_is_another_hash(tmp_path: Path) -> None:
    other = Image("local", "img-2", "base", available=True, created_at=BASE.created_at)
    assert _hash(tmp_path, other) != _hash(tmp_path)


def test_what_leaves_nothing_in_the_image_leaves_the_hash(tmp_path: Path) -> None:
    patient = [{"command": "true", "timeout_s": 5, "retries": 3}]
    assert _hash(tmp_path, size="large", hours=5, run=patient) == _hash(tmp_path)


def test_a_build_goes_on_only_behind_the_same_steps(tmp_path: Path) -> None:
    todo = steps(_recipe(tmp_path, run=["a", "b"]), tmp_path)
    digests = [step.digest for step in todo]
    assert left(todo, []) == todo
    assert left(todo, digests[:1]) == todo[1:]
    assert left(todo, digests) == []
    assert left(todo, digests[1:]) is None
    assert left(todo, [*digests, "more"]) is None


def test_a_lock_file_is_cut_to_what_is_needed() -> None:
    cut = selected(LOCK, ["boto3"])
    assert [line.split("==")[0] for line in cut.splitlines() if "==" in line] == [
        *("boto-core", "boto3", "jmespath")
    ]
    assert "--hash=sha256:dd" in cut
    assert "#" not in cut
    assert selected(LOCK, []).count("==") == 4
    with pytest.raises(ProvisionError, match="not in the lock file: nothing"):
        selected(LOCK, ["nothing"])


def test_our_own_recipes_name_packages_of_our_lock_file() -> None:
    for path in (ROOT / "appliances").glob("*/recipe.yaml"):
        recipe = load(path)
        assert recipe.name == path.parent.name
        assert recipe.python
        assert "pika==" in Wheels(recipe.python, Path("unused")).requirements


def test_a_project_is_known_by_its_sources(tmp_path: Path) -> None:
    package = tmp_path / "project" / "package"
    package.mkdir(parents=True)
    (tmp_path / "lock").write_text(LOCK)
    (package.parent / "pyproject.toml").touch()
    (package / "__init__.py").touch()
    project = package.parent
    entry = PythonEntry(lock=tmp_path / "lock", project=project, target="/opt/x")
    before = Wheels(entry, tmp_path).digest
    (project / "notes.txt").write_text("beside")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").touch()
    assert Wheels(entry, tmp_path).digest == before
    (package / "more.py").touch()
    assert Wheels(entry, tmp_path).digest != before


def test_a_registered_definition_needs_its_appliance() -> None:
    listed = [{"id": 7, "definition": {"application": "my-operation"}}]
    assert uses.by_definitions(listed) == {"my-operation": "process definition 7 names it"}


def test_what_goes_into_no_wheel_makes_no_other_version(tmp_path: Path) -> None:
    find = '[tool.setuptools.packages.find]\ninclude = ["package*"]\n'
    (tmp_path / "pyproject.toml").write_text(find)
    for name in ("package", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "lock").write_text("")
    wheels = Wheels(PythonEntry(lock=tmp_path / "lock", project=tmp_path, target="/x"), tmp_path)
    before = wheels.digest
    (tmp_path / "tests" / "result.json").touch()
    assert wheels.digest == before
    (tmp_path / "package" / "more.py").touch()
    assert wheels.digest != before
