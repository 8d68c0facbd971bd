"""A local cloud of the run's own: real machines, one of them shared by tests that only look."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.drivers.local import LocalNodeDriver, base
from provision.keys import KeyPair
from tests.provision.local.machines import Booted, booted, key_pair, need_machines


@pytest.fixture(scope="session")
def driver() -> Iterator[LocalNodeDriver]:
    """A local cloud that nobody else sees, gone with the run; its base image stays."""
    need_machines()
    driver = LocalNodeDriver(f"test-{secrets.token_hex(4)}")
    try:
        yield driver
    finally:
        wipe(driver)


def wipe(driver: LocalNodeDriver) -> None:
    """Remove all that a cloud has."""
    for node in driver.list_nodes():
        driver.destroy_node(node)
    for image in driver.list_images():
        if image.id != base.image_id():
            driver.delete_image(image)
    for leftover in driver.ex_list_leftovers(min_age_s=0):
        driver.ex_remove_leftover(leftover)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """The key pair with which the run logs in."""
    return key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def machine(driver: LocalNodeDriver, key: KeyPair) -> Iterator[Booted]:
    """A machine that is up. Tests may look at it and leave files, no more."""
    with booted(driver, key, name="Agent 1") as machine:
        yield machine


@pytest.fixture
def fresh(driver: LocalNodeDriver, key: KeyPair) -> Iterator[Booted]:
    """A machine of the test's own."""
    with booted(driver, key, name="fresh") as machine:
        yield machine


@pytest.fixture
def path_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs come before the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert shutil.which("podman")
    return folder
