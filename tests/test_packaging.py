"""Our package names are plain words: see that they are ours alone."""

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
