"""Recipes: read, checked, every problem named at once."""

from pathlib import Path

import pytest

from appliances.errors import RecipeError
from appliances.recipe import CloudImage, Recipe, load

WHOLE = """\
name: my-operation
from: stream-agent
packages: [imagemagick]
files: [{source: my-operation.py, target: /opt/my-operation/my-operation.py, mode: "0755"}]
run: ["python3 -m compileall /opt/my-operation", {command: make, timeout_s: 5, retries: 2}]
checks: ["convert -version"]
sample: {input: "some text", output: "SOME TEXT", exec: "tr [a-z] [A-Z]"}
environment: {LANG: C.UTF-8}
secrets: [licence]
size: small
hours: 3
"""


def _read(folder: Path, text: str) -> Recipe:
    (folder / "my-operation.py").touch()
    path = folder / "recipe.yaml"
    path.write_text(text)
    return load(path)


def test_the_contracts_recipe_is_read(tmp_path: Path) -> None:
    recipe = _read(tmp_path, WHOLE)
    assert (recipe.name, recipe.base) == ("my-operation", "stream-agent")
    assert recipe.files[0].source == tmp_path / "my-operation.py"
    assert [entry.command for entry in recipe.run][1] == "make"
    assert (recipe.run[0].timeout_s, recipe.run[1].retries) == (600, 2)
    assert recipe.sample
    assert recipe.sample.exec == "tr [a-z] [A-Z]"


@pytest.mark.parametrize(
    ("base", "image"),
    [("{image: debian}", "debian"), ("{image: {name: debian-12*}}", "debian-12*")],
)
def test_an_appliance_may_stand_on_an_image_of_the_cloud(
    tmp_path: Path, base: str, image: str
) -> None:
    recipe = _read(tmp_path, f"name: x\nfrom: {base}\n")
    assert isinstance(recipe.base, CloudImage)
    assert image in str(recipe.base.image)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = """\
from: {imag: x}
packages: [imagemagick, "a b"]
files: [{source: nope.py, target: opt/x, modus: "0755"}]
run: ["a", {comand: b}, 3]
sample: {input: x}
enviroment: {A: b}
hours: -1
"""
    with pytest.raises(RecipeError) as refused:
        _read(tmp_path, text)
    path = tmp_path / "recipe.yaml"
    assert [line.removeprefix(f"{path}: ") for line in refused.value.problems] == [
        "name: is missing",
        "from: must be an appliance's name, {image: NAME} or {image: {name: ..., owner: ...}}",
        "packages: 2: string should match pattern '^[A-Za-z0-9][A-Za-z0-9.+:=~_-]*$'",
        f"files: 1: source: {tmp_path}/nope.py: no such file",
        "files: 1: target: must be a file's absolute path on the machine",
        "files: 1: modus: unknown key; did you mean 'mode'?",
        "run: 2: command: is missing",
        "run: 2: comand: unknown key; did you mean 'command'?",
        "run: 3: must be text, or keys: command, timeout_s, retries",
        "sample: output: is missing",
        "sample: exec: is missing",
        "hours: input should be greater than 0",
        "enviroment: unknown key; did you mean 'environment'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("[", "while parsing"), ("- a", "must hold keys: name, from, packages"), ("", "must hold")],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        _read(tmp_path, text)


def test_a_recipe_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("odd", ["size: 2026-13-45", "[" * 5000, "size: \x00"])
def test_what_yaml_stumbles_over_is_one_line(tmp_path: Path, odd: str) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml: ") as told:
        _read(tmp_path, odd)
    assert len(str(told.value).splitlines()) == 1
