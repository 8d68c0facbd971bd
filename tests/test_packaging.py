"""Our package names are plain words: see that they are ours alone."""

import re
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["streams", "provision", "agent", "manager", "tools"])
def test_no_dependency_ships_a_package_of_our_name(name: str) -> None:
    owners = set(packages_distributions().get(name, [])) - {"streamboss"}
    assert not owners
    module = import_module(name)
    assert Path(str(module.__file__)).is_relative_to(ROOT)


def test_the_lock_pins_each_package_by_its_hashes_and_names_no_index() -> None:
    text = (Path(__file__).parents[1] / "requirements.lock").read_text()
    pinned = re.findall(r"^[a-z0-9][^\s;]*==\S+.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pinned) > 100
    assert [entry.split()[0] for entry in pinned if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|file:|--index-url", text)
