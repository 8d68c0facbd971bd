"""Images and tags of the local cloud, and what is left when all is gone."""

import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from libcloud.compute.base import Node, NodeImage, NodeSize

from provision.drivers.local import LocalNodeDriver
from provision.errors import Kind, ProvisionError
from provision.keys import KeyPair
from tests.eventually import eventually
from tests.provision.local.machines import Booted, booted, debian, left, small

pytestmark = pytest.mark.long


def test_a_snapshot_has_the_change_and_not_the_old_seed(
    driver: LocalNodeDriver, key: KeyPair
) -> None:
    # Given a machine with user data and a change, saved while it is stopped
    with booted(driver, key, more="bootcmd: ['echo the first ones secret']\n") as first:
        first.sh("grep -q 'first ones' /var/lib/cloud/seed/nocloud/user-data")
        first.sh("echo changed > /opt/change")
        driver.stop_node(first.node)
        image = driver.create_image(first.node, "my operation", ex_metadata={"hash": "ab"})
    assert (image.name, image.extra["tags"]) == ("my operation", {"hash": "ab"})

    # When another one is launched from the image, then it has the change, an identity of its own
    # and its own user data
    with booted(driver, key, image=image) as second:
        assert second.sh("cat /opt/change") == "changed"
        assert second.sh("cloud-init query instance_id") == second.id
        seed = second.sh("grep -rE 'ssh_auth|first ones' /var/lib/cloud/seed")
        assert "ssh_authorized_keys" in seed
        assert "first ones" not in seed
    driver.delete_image(image)


def test_an_image_may_go_while_a_machine_still_uses_it(
    driver: LocalNodeDriver, key: KeyPair, machine: Booted
) -> None:
    image = driver.create_image(machine.node, "short-lived")
    with booted(driver, key, image=image) as user:
        driver.delete_image(image)
        assert image.id not in {each.id for each in driver.list_images()}
        assert user.sh("echo on") == "on"
        assert not left(driver)
    (layers,) = left(driver)
    driver.ex_remove_leftover(layers)
    assert not left(driver)
    assert driver.delete_image(image)  # twice is no error


AWKWARD = {"streamboss:owner": "me & you=us, 100% $HOME 'x' \"ü\"", "empty": ""}


def test_tags_of_a_machine_change_and_keep_what_they_held(driver: LocalNodeDriver) -> None:
    node = driver.create_node("tagged", small(driver), debian(driver), ex_metadata=AWKWARD)
    _change_tags(driver, node, driver.list_nodes)
    driver.destroy_node(node)
    assert not left(driver)


def test_tags_of_an_image_change_and_keep_what_they_held(
    driver: LocalNodeDriver, machine: Booted
) -> None:
    image = driver.create_image(machine.node, "tagged", ex_metadata=AWKWARD)
    _change_tags(driver, image, driver.list_images)
    driver.delete_image(image)
    assert not left(driver)


def _change_tags(
    driver: LocalNodeDriver,
    resource: Node | NodeImage,
    listed: Callable[[], Sequence[Node | NodeImage]],
) -> None:
    def tags() -> dict[str, str]:
        (found,) = (each.extra["tags"] for each in listed() if each.id == resource.id)
        return dict(found)

    assert tags() == AWKWARD
    for until in ("soon", "later", "much later"):
        driver.ex_create_tags(resource, {"lease-until": until})
        assert tags() == {**AWKWARD, "lease-until": until}


def test_clouds_do_not_see_each_others_machines_and_images(
    driver: LocalNodeDriver, machine: Booted
) -> None:
    image = driver.create_image(machine.node, "mine")
    other = LocalNodeDriver(f"{driver.cloud}-other")
    assert not other.list_nodes()
    assert [each.name for each in other.list_images()] == ["debian-12"]
    with pytest.raises(ProvisionError, match=str(image.id)) as refused:
        other.get_image(str(image.id))
    assert refused.value.kind is Kind.GONE
    driver.delete_image(image)


def test_a_machine_that_ended_leaves_nothing(driver: LocalNodeDriver, key: KeyPair) -> None:
    with booted(driver, key) as machine:
        driver.ex_create_tags(machine.node, {"a": "b"})
        container = _podman("inspect", "--format", "{{.Id}}", machine.id)
        network = _podman("inspect", "--format", "{{.NetworkSettings.SandboxKey}}", machine.id)
        assert len(_processes(container, network)) >= 2  # its monitor and its network
    assert driver.destroy_node(machine.node)  # twice is no error
    assert machine.id not in _podman("ps", "--all", "--format", "{{.Names}}")
    assert machine.id not in _podman("volume", "ls", "--quiet")
    eventually(lambda: not _processes(container, network))
    assert not Path(network).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", machine.node.extra["ssh_port"])).close()


def test_what_does_not_exist_is_said_and_leaves_nothing(driver: LocalNodeDriver) -> None:
    gone = NodeImage("img-00000000000000000", "gone", driver)
    with pytest.raises(ProvisionError, match="img-00000000000000000") as refused:
        driver.create_node("x", small(driver), gone)
    assert refused.value.kind is Kind.GONE
    huge = NodeSize("huge", "huge", 0, 0, 0, 0, driver=driver)
    with pytest.raises(ProvisionError, match="no size 'huge' on a local cloud: small, medium"):
        driver.create_node("x", huge, debian(driver))
    assert not [node for node in driver.list_nodes() if node.name == "x"]
    assert not left(driver)


def _podman(*arguments: str) -> str:
    return subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def _processes(*marks: str) -> list[str]:
    """Return what runs with one of `marks` in its command line; zombies don't count."""
    rows = subprocess.run(
        ["ps", "-eww", "-o", "stat,args", "--no-headers"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [row for row in rows if any(mark in row for mark in marks) and row[0] != "Z"]
