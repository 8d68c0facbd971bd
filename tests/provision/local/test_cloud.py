"""Our face of a cloud on real machines: a builder is killed at podman's calls, and recovers."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from provision.drivers.local import LocalNodeDriver
from provision.garbage import collect
from provision.journal import Journal
from provision.machine import ROLE
from provision.recovery import recover
from tests.embedded import ROOT
from tests.eventually import eventually
from tests.provision.baking import NEW
from tests.provision.local.conftest import wipe
from tests.provision.local.test_crashes import KILLER, everything, program
from tests.provision.machinery import local_cloud

pytestmark = pytest.mark.long

#: Calls of podman in a whole bake, at least: those after them differ with the machine's speed.
CALLS = 50
EVERY = [(number, moment) for number in range(1, CALLS + 1) for moment in ("before", "during")]
SAMPLE = random.Random(3).sample(EVERY, 1)  # noqa: S311 the same ones each time


@pytest.fixture
def name(driver: LocalNodeDriver) -> Iterator[str]:
    """A cloud of the test's own, with nothing in it."""
    own = LocalNodeDriver(f"{driver.cloud}-bake")
    yield own.cloud
    wipe(own)


def _bake(name: str, folder: Path, kill: str) -> int:
    """Run a whole bake, killed at a call of podman; return its exit status."""
    program(folder / "podman", KILLER)
    (folder / "calls").unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FOLDER": str(folder),
        "KILL": kill,
    }
    command = [
        sys.executable,
        "-m",
        "tests.provision.baking",
        "bake",
        name,
        str(folder / "journal"),
    ]
    done = subprocess.run(command, env=environment, cwd=ROOT, timeout=300, check=False)
    if done.returncode == -signal.SIGKILL and kill.startswith("during"):
        eventually((folder / "ended").exists, within_s=60)
    return done.returncode


def _settled(name: str, folder: Path) -> None:
    with Journal(folder / "journal") as journal:
        cloud = local_cloud(name, journal)
        recover(cloud)
        assert cloud.account.machines() == []
        ours = [i for i in cloud.account.images() if cloud.account.ours(i)]
        assert {image.name for image in ours} <= {NEW}
        assert {a.name for a in journal.attempts().values()} == {image.name for image in ours}


@pytest.mark.parametrize(
    ("number", "moment"),
    [pytest.param(*point, marks=() if point in SAMPLE else pytest.mark.long) for point in EVERY],
)
def test_a_killed_bake_on_real_machines_leaves_nothing_unexplained(
    name: str, tmp_path: Path, number: int, moment: str
) -> None:
    assert _bake(name, tmp_path, f"{moment} {number}") == -signal.SIGKILL
    _settled(name, tmp_path)
    assert _bake(name, tmp_path, "never") == 0
    _settled(name, tmp_path)
    with Journal(tmp_path / "journal") as journal:
        cloud = local_cloud(name, journal)
        (image,) = [i for i in cloud.account.images() if cloud.account.ours(i)]
        assert image.tags[ROLE] == "image"
        cloud.images.delete(image)
        collect(cloud, {}, min_age=timedelta(0), dry_run=False)
    wipe(LocalNodeDriver(name))  # what is too young to be called a leftover
    assert not everything(LocalNodeDriver(name))
