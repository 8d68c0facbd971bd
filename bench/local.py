"""Machines of the local cloud: from the call to a login, saved, and gone.

Beside it a bare machine: the same image by podman alone, without user data, labels or a list.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from libcloud.compute.base import Node, NodeImage

from bench.path import Turn
from provision import keys
from provision.drivers.local import LocalNodeDriver, base, labels
from provision.drivers.local.engine import OURS, limits
from provision.keys import KeyPair
from provision.known_hosts import KnownHosts
from provision.login import Login, wait_for_sshd
from provision.ssh import connected
from tests.rabbit import BrokerNode

LIMIT = "limit: podman run, until sshd answers"
TIMES = 5
AT_ONCE = 5
_BOOT_S = 60
_MIB_CHANGED = 60


def local(_: BrokerNode) -> Iterator[Turn]:
    """Each step several times, on a cloud of the benchmark's own."""
    base.ensure()
    driver = LocalNodeDriver(f"bench-{time.time_ns()}")
    with tempfile.TemporaryDirectory() as folder:
        key = keys.ensure(Path(folder), comment="bench")
        try:
            yield from _turns(driver, key)
        finally:
            for node in driver.list_nodes():
                driver.destroy_node(node)
            for image in driver.list_images()[1:]:
                driver.delete_image(image)


def _turns(driver: LocalNodeDriver, key: KeyPair) -> Iterator[Turn]:
    debian = driver.get_image("debian-12")
    for _ in range(TIMES):
        yield _seconds(LIMIT, _bare)
    made = list[Node]()
    for _ in range(TIMES):
        yield _seconds("create, to the login", partial(_launched, driver, key, debian, made))
    saved = list[NodeImage]()
    for each in made:
        _change(driver, key, each)
        yield _seconds(f"save, {_MIB_CHANGED} MiB changed", partial(_saved, driver, each, saved))
    for image in saved:
        yield _seconds("create from it, to the login", partial(_launched, driver, key, image, made))
    for each in made:
        yield _seconds("destroy", partial(driver.destroy_node, each))
    name = f"create {AT_ONCE} at once, to the last login"
    yield _seconds(name, partial(_launched_together, driver, key, debian, made))


def _seconds(name: str, work: Callable[[], object]) -> Turn:
    started = time.monotonic()
    work()
    return Turn(name, time.monotonic() - started, unit="s")


def _bare() -> None:
    with _bare_machine() as port:
        wait_for_sshd("127.0.0.1", port, timeout_s=_BOOT_S)


@contextmanager
def _bare_machine() -> Iterator[int]:
    name = f"bare-{time.time_ns()}"
    options = ("--detach", "--systemd=always", "--cap-add=SYS_ADMIN", *limits())
    network = ("--network=slirp4netns", "--publish=127.0.0.1::22")
    OURS.run(
        *("run", "--name", name, *options, *network),
        labels.reference(base.image_id()),
        "/sbin/init",
    )
    try:
        yield int(OURS.run("port", name, "22").rpartition(":")[2])
    finally:
        OURS.run("rm", "--force", "--time", "0", name)


def _launched(driver: LocalNodeDriver, key: KeyPair, image: NodeImage, made: list[Node]) -> None:
    user_data = f"#cloud-config\nssh_authorized_keys: ['{key.public}']\n"
    node = driver.create_node("bench", driver.list_sizes()[0], image, ex_userdata=user_data)
    made.append(node)
    with connected(_login(key, node), timeout_s=_BOOT_S):
        pass


def _saved(driver: LocalNodeDriver, node: Node, saved: list[NodeImage]) -> None:
    saved.append(driver.create_image(node, "bench"))


def _launched_together(
    driver: LocalNodeDriver, key: KeyPair, image: NodeImage, made: list[Node]
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        launches = [pool.submit(_launched, driver, key, image, made) for _ in range(AT_ONCE)]
        for each in launches:
            each.result()


def _change(driver: LocalNodeDriver, key: KeyPair, node: Node) -> None:
    with connected(_login(key, node), timeout_s=_BOOT_S) as shell:
        shell.run(f"head -c {_MIB_CHANGED}M /dev/urandom >/opt/change; sync", timeout_s=60)
    driver.stop_node(node)


def _login(key: KeyPair, node: Node) -> Login:
    known = KnownHosts(key.path.parent / "known_hosts")
    return Login(str(node.id), "127.0.0.1", node.extra["ssh_port"], "root", key.path, known)
