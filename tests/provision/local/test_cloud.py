"""The local cloud by the face that all clouds have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import known_hosts, recovery
from provision.cloud import Cloud
from provision.drivers.local import LocalNodeDriver
from provision.inventory import Inventory
from provision.journal import Journal
from provision.keys import KeyPair
from provision.known_hosts import KnownHosts
from provision.login import Login
from provision.machine import Machine
from provision.secrets import Secrets
from provision.ssh import connected
from tests.provision.local.conftest import wipe
from tests.provision.local.machines import BOOT_S, user_data

pytestmark = pytest.mark.timeout(900)  # the first one may make the base image


@pytest.fixture
def cloud(driver: LocalNodeDriver, tmp_path: Path) -> Iterator[Cloud]:
    """A local cloud as an inventory describes it."""
    name = f"{driver.cloud}-face"
    entry = {"kind": "local", "images": {"debian": "debian-12"}, "sizes": {"small": "small"}}
    inventory = Inventory.model_validate({"clouds": {name: entry}, "defaults": {"cloud": name}})
    with Journal(tmp_path / "journal") as journal:
        yield Cloud.open(inventory, None, journal=journal, secrets=Secrets({}))
    wipe(LocalNodeDriver(name))


def test_a_machine_is_launched_changed_saved_and_launched_again(cloud: Cloud, key: KeyPair) -> None:
    # Given a machine, logged in to because its console shows its host keys
    first = cloud.wait_ready(cloud.launch("debian", name="first", user_data=user_data(key)))
    with connected(_login(cloud, first, key), timeout_s=BOOT_S) as shell:
        shell.run("echo changed > /opt/change", timeout_s=30)
    cloud.renew(first, hours=48)
    renewed = cloud.machine("first").lease
    assert renewed
    assert first.lease
    assert (renewed.ends_at - first.lease.ends_at).days >= 1  # it had 24 hours

    # When it is saved and a second one launched from that
    image = cloud.save(first, "my-operation")
    second = cloud.wait_ready(cloud.launch("my-operation", name="second", user_data=user_data(key)))
    with connected(_login(cloud, second, key), timeout_s=BOOT_S) as shell:
        assert shell.run("cat /opt/change", timeout_s=30) == "changed\n"

    # Then both can go, and recovery finds nothing to do
    cloud.terminate(cloud.machine("first"))
    cloud.terminate(second)
    cloud.images.delete(image)
    assert not cloud.machines()
    assert not cloud.account.leftovers()
    assert not recovery.recover(cloud)


def _login(cloud: Cloud, machine: Machine, key: KeyPair) -> Login:
    known = KnownHosts(key.path.parent / "known_hosts")
    known.remember(machine.id, known_hosts.on_console(cloud.console(machine)))
    return Login(machine.id, str(machine.host), machine.ssh_port, "root", key.path, known)
