"""The crash matrix: a builder is killed before and after every call that changes something.

Then recovery runs, and the cloud is asked past our own code: nothing of ours is unexplained, and
nothing foreign was touched.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provision.attempts import Status
from provision.garbage import collect
from provision.journal import Journal
from provision.machine import OWNER, ROLE
from provision.recovery import recover
from tests.embedded import ROOT
from tests.provision.baking import KEY, NEW, OLD, TAGS
from tests.provision.front import Front
from tests.provision.machinery import OWNER as US
from tests.provision.machinery import ec2_cloud

#: Calls of a whole bake that change something; a test holds that there are so many.
CHANGES = 15
EVERY = [(number, moment) for number in range(1, CHANGES + 1) for moment in ("before", "after")]
SAMPLE = random.Random(5).sample(EVERY, 2)  # noqa: S311 a sample, not a secret
LOOSE = timedelta(0)


@dataclass
class Site:
    """A cloud with somebody else's things on it, an old image of ours, and a folder."""

    moto: Any
    front: Front
    port: int
    folder: Path
    foreign: dict[str, Any]

    def run(self, what: str, kill: tuple[int, str] | None = None) -> int:
        """Run a child, killed at a change if wanted; return its exit status."""
        self.front.changes.clear()
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.provision.baking", what, str(self.port), self.folder],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "HOME": str(self.folder.parent), "PATH": "/usr/bin:/bin"},
        )
        self.front.kill = (*kill, child.pid) if kill else None
        status = child.wait(timeout=60)
        self.front.kill = None
        return status

    def shown(self) -> dict[str, Any]:
        """Return everything on the cloud, as boto3 tells it."""
        machines = [
            machine
            for reservation in self.moto.describe_instances()["Reservations"]
            for machine in reservation["Instances"]
            if machine["State"]["Name"] != "terminated"
        ]
        images = [i for i in self.moto.describe_images(Owners=["self"])["Images"] if i.get("Name")]
        snapshots = self.moto.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        return {
            "machines": {m["InstanceId"]: _tags(m) for m in machines},
            "images": {i["ImageId"]: {**_tags(i), "name": i["Name"]} for i in images},
            "snapshots": {s["SnapshotId"] for s in snapshots},
            "parts": {
                disk["Ebs"]["SnapshotId"]
                for image in images
                for disk in image["BlockDeviceMappings"]
                if "SnapshotId" in disk.get("Ebs", {})
            },
            "keys": {k["KeyName"] for k in self.moto.describe_key_pairs()["KeyPairs"]},
            "groups": {
                g["GroupName"] for g in self.moto.describe_security_groups()["SecurityGroups"]
            },
        }


@pytest.fixture
def site(moto: Any, front: tuple[Front, int], tmp_path: Path) -> Site:
    """A cloud on which others work, too, and ignores filters."""
    proxy, port = front
    proxy.ignores_filters = True
    with Journal(tmp_path / "theirs") as journal:
        theirs = ec2_cloud(port, journal, owner=f"{US}-2")
        machine = theirs.launch("debian", name="builder", hours=1, public_key=KEY)
        theirs.save(machine, "their-work", tags=TAGS)
    with Journal(tmp_path / "before") as journal:
        ours = ec2_cloud(port, journal)
        first = ours.launch("debian", name="first", hours=1)
        ours.save(first, OLD, tags=TAGS)
        ours.terminate(first)
        collect(ours, {"my-operation": "used"}, min_age=LOOSE, dry_run=False)
    site = Site(moto, proxy, port, tmp_path / "journal", {})
    site.foreign = {
        kind: {k: v for k, v in things.items() if v.get(OWNER) != US}
        if isinstance(things, dict)
        else things
        for kind, things in site.shown().items()
    }
    return site


def _tags(thing: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def _check(site: Site) -> None:
    """Hold what must be true after a recovery."""
    shown = site.shown()
    for kind in ("machines", "images"):
        theirs = {k: v for k, v in shown[kind].items() if v.get(OWNER) != US}
        assert theirs == site.foreign[kind]
    assert site.foreign["keys"] <= shown["keys"]
    assert site.foreign["groups"] <= shown["groups"]
    assert not [tags for tags in shown["machines"].values() if tags.get(OWNER) == US]
    ours = [tags["name"] for tags in shown["images"].values() if tags.get(OWNER) == US]
    assert set(ours) <= {OLD, NEW}
    assert len(ours) == len(set(ours))
    assert shown["snapshots"] - shown["parts"] <= site.foreign["snapshots"] - site.foreign["parts"]
    with Journal(site.folder) as journal:
        left = journal.attempts().values()
        assert all(attempt.status is Status.DONE for attempt in left)
        assert not [attempt for attempt in left if attempt.thing == "machine"]


def _recovered(site: Site, recovering: Callable[[], None]) -> None:
    recovering()
    _check(site)
    assert site.run("bake") == 0  # the next build goes through
    _check(site)
    with Journal(site.folder) as journal:
        cloud = ec2_cloud(site.port, journal, grace_s=0.3)
        collect(cloud, {"my-operation": "used"}, min_age=LOOSE, dry_run=False)
    shown = site.shown()
    ours = {t["name"]: t[ROLE] for t in shown["images"].values() if t.get(OWNER) == US}
    assert ours == {NEW: "image"}
    assert (shown["keys"], shown["groups"]) == (site.foreign["keys"], site.foreign["groups"])


def _recover_here(site: Site) -> None:
    with Journal(site.folder) as journal:
        recover(ec2_cloud(site.port, journal, grace_s=0.3))


def test_a_bake_that_nobody_kills_changes_the_cloud_so_many_times(site: Site) -> None:
    assert site.run("bake") == 0
    assert len(site.front.changes) == CHANGES, site.front.changes
    _check(site)


@pytest.mark.parametrize(("number", "moment"), SAMPLE)
def test_a_killed_bake_leaves_nothing_unexplained(site: Site, number: int, moment: str) -> None:
    assert site.run("bake", kill=(number, moment)) == -9
    _recovered(site, lambda: _recover_here(site))


@pytest.mark.long
@pytest.mark.parametrize(("number", "moment"), [each for each in EVERY if each not in SAMPLE])
def test_a_bake_killed_anywhere_leaves_nothing_unexplained(
    site: Site, number: int, moment: str
) -> None:
    test_a_killed_bake_leaves_nothing_unexplained(site, number, moment)


@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.long), "after"])
def test_a_recovery_that_is_killed_itself_is_done_again(site: Site, moment: str) -> None:
    assert site.run("bake", kill=(5, "after")) == -9
    assert site.run("recover", kill=(1, moment)) == -9
    _recovered(site, lambda: _recover_here(site))
