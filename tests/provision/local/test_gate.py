"""A machine that launches others: this computer's podman, through a gate, as long as it runs."""

import json
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.drivers.local import LocalNodeDriver
from provision.errors import ProvisionError
from provision.keys import KeyPair
from provision.machine import PORTS, ROLE, Role
from tests.eventually import eventually
from tests.provision.local.conftest import wipe
from tests.provision.local.machines import debian, left, small, user_data

pytestmark = pytest.mark.timeout(900)  # the first one may make the base image

TAGS = {ROLE: Role.MANAGER, PORTS: "8081,5672"}


@pytest.fixture
def gated(driver: LocalNodeDriver, tmp_path: Path) -> Iterator[LocalNodeDriver]:
    """A cloud of the test's own, whose machines may launch others."""
    own = LocalNodeDriver(f"{driver.cloud}-{secrets.token_hex(2)}", gates=tmp_path / "gates")
    yield own
    wipe(own)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Where a gate is found as in a machine: a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "gate")


def keepers(folder: Path) -> list[int]:
    """Return the processes that keep gates in `folder`, and their podmans."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
            inside = (entry / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if inside or str(folder).encode() in line:
            found.append(int(entry.name))
    return found


def test_a_gate_lasts_as_long_as_its_machine_and_what_went_through_stays(
    gated: LocalNodeDriver, key: KeyPair, tmp_path: Path, short_path: Path
) -> None:
    # Given a machine with a gate
    image = debian(gated)
    keeper = gated.create_node("manager", small(gated), image, ex_metadata=TAGS)
    assert set(keeper.extra["ports"]) == {8081, 5672}
    assert gated.ex_open_gate(keeper) == "/run/streamboss-gate/podman.sock"
    gated.ex_open_gate(keeper)
    place = tmp_path / "gates" / str(keeper.id)
    short_path.symlink_to(place)
    eventually(lambda: len(keepers(place)) == 2, what="there are a keeper and podman, once")
    assert place.stat().st_mode & 0o777 == 0o700
    # When somebody launches through it
    inside = LocalNodeDriver(gated.cloud, socket=str(short_path / "podman.sock"))
    node = inside.create_node("other", small(inside), image, ex_userdata=user_data(key))
    assert node.public_ips == ["10.0.2.2"]
    assert {each.name for each in gated.list_nodes()} == {"manager", "other"}
    eventually(
        lambda: (
            key.public.split()[1]
            in gated.engine.run(
                "exec",
                str(node.id),
                "sh",
                "-c",
                "cat /root/.ssh/authorized_keys 2>/dev/null || true",
            )
        ),
        within_s=60,
        what="user data has come through",
    )
    inside.ex_create_tags(node, {"some": "tag"})
    saved = inside.create_image(node, "saved", ex_metadata={"one": "two words"})
    assert saved.extra["tags"] == {"one": "two words"}
    assert inside.ex_get_console_output(node)["output"]
    # Then a podman that is killed is started again, and what it launched lives on
    for pid in keepers(place):
        if b"python" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: _launched(inside) == {"manager", "other"}, within_s=30)
    assert json.loads(gated.engine.run("inspect", str(node.id)))[0]["State"]["Running"]
    # and the gate goes with its machine
    gated.destroy_node(keeper)
    eventually(lambda: not keepers(place), within_s=30, what="nobody keeps the gate")
    assert not place.exists()
    gated.destroy_node(node)
    gated.delete_image(saved)
    assert not left(gated)


def _launched(driver: LocalNodeDriver) -> set[str]:
    try:
        return {each.name for each in driver.list_nodes()}
    except ProvisionError:
        return set()


def test_a_machine_without_the_role_has_no_gate(gated: LocalNodeDriver, tmp_path: Path) -> None:
    gated.create_node("agent", small(gated), debian(gated), ex_metadata={ROLE: Role.FLEET})
    assert not (tmp_path / "gates").exists()
    with pytest.raises(ProvisionError, match="no machine of this cloud may launch others"):
        LocalNodeDriver(gated.cloud).create_node(
            "manager", small(gated), debian(gated), ex_metadata=TAGS
        )


def test_a_gate_that_nobody_keeps_is_said_in_one_line(tmp_path: Path) -> None:
    alone = LocalNodeDriver("nowhere", socket=str(tmp_path / "podman.sock"))
    with pytest.raises(ProvisionError) as refused:
        alone.list_nodes()
    assert len(str(refused.value).splitlines()) == 1
