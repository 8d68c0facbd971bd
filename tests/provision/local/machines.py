"""Machines of the local cloud, booted and logged in to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from libcloud.compute.base import Node, NodeImage, NodeSize

from provision import keys, known_hosts
from provision.drivers.local import LocalNodeDriver, base, labels
from provision.drivers.local.engine import OURS, limits
from provision.drivers.local.leftovers import Leftover, LeftoverKind
from provision.errors import ProvisionError
from provision.keys import KeyPair
from provision.known_hosts import KnownHosts
from provision.login import Login
from provision.ssh import Shell, connected

BOOT_S = 60


@dataclass(frozen=True)
class Booted:
    """A machine, and a shell on it."""

    node: Node
    shell: Shell
    login: Login

    @property
    def id(self) -> str:
        """The machine's id, which libcloud's types allow to be None."""
        return str(self.node.id)

    def sh(self, command: str) -> str:
        """Run a command on it and return what it printed."""
        return self.shell.run(command, timeout_s=60).strip()


@cache
def lacking() -> str:
    """Return what local machines need and this computer hasn't, in one word, or nothing."""
    for program in ("podman", "mmdebstrap", "slirp4netns"):
        if shutil.which(program) is None:
            return program
    if os.geteuid() != 0:  # tests move HOME, where podman would look for its images
        return "root"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "privileges"
    return "" if Path("/dev/net/tun").exists() else "tun"


def need_machines() -> None:
    """Skip where machines can't run; else see to the base image, which `make test` has made."""
    if missing := lacking():
        pytest.skip(missing)
    base.ensure()
    if not _starts():
        pytest.skip("containers")


@cache
def _starts() -> bool:
    """Say whether podman can start anything here, asked without our driver's options."""
    with suppress(ProvisionError):
        image = labels.reference(base.image_id())
        OURS.run("run", "--rm", "--network=none", *limits(), image, "true")
        return True
    return False


def key_pair(folder: Path) -> KeyPair:
    """Make a key pair in `folder`."""
    return keys.ensure(folder, comment="test")


def small(driver: LocalNodeDriver) -> NodeSize:
    """Return the size that tests take."""
    return driver.list_sizes()[0]


def debian(driver: LocalNodeDriver) -> NodeImage:
    """Return the base image."""
    return driver.get_image("debian-12")


def user_data(key: KeyPair, more: str = "") -> str:
    """Return user data that lets `key` in as root."""
    return f"#cloud-config\nssh_authorized_keys: ['{key.public}']\n{more}"


@contextmanager
def booted(
    driver: LocalNodeDriver,
    key: KeyPair,
    *,
    name: str = "machine",
    image: NodeImage | None = None,
    more: str = "",
) -> Iterator[Booted]:
    """Launch a machine, log in, and end it."""
    node = driver.create_node(
        name, small(driver), image or debian(driver), ex_userdata=user_data(key, more)
    )
    try:
        login = login_to(driver, node, key)
        with connected(login, timeout_s=BOOT_S) as shell:
            yield Booted(node, shell, login)
    finally:
        driver.destroy_node(node)


def login_to(driver: LocalNodeDriver, node: Node, key: KeyPair) -> Login:
    """Return how to log in as root; its host keys are those that the console shows, if any yet."""
    known = KnownHosts(key.path.parent / "known_hosts")
    known.remember(str(node.id), known_hosts.on_console(console(driver, node)))
    return Login(str(node.id), "127.0.0.1", node.extra["ssh_port"], "root", key.path, known)


def console(driver: LocalNodeDriver, node: Node) -> str:
    """Return what a machine wrote on its console."""
    return driver.ex_get_console_output(node)["output"]


def left(driver: LocalNodeDriver) -> list[Leftover]:
    """Return what crashes left of this cloud; what doesn't say whose it is may be others'."""
    own = (LeftoverKind.VOLUME, LeftoverKind.IMAGE)
    return [each for each in driver.ex_list_leftovers(min_age_s=0) if each.kind in own]
