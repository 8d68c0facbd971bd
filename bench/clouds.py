"""The local cloud: from the call to a login, saved, gone; and a build that has nothing to do.

Beside it bare podman: the same image run and committed, without user data, labels or a list.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from libcloud.compute.base import Node, NodeImage

from bench.path import Turn
from bench.scenario import Goal, Scenario, ratio, value
from provision import keys
from provision.drivers.local import LocalNodeDriver, base, labels
from provision.drivers.local.engine import OURS, limits
from provision.keys import KeyPair
from provision.known_hosts import KnownHosts
from provision.login import Login, wait_for_sshd
from provision.ssh import connected
from tests.appliances.desk import sat_down
from tests.rabbit import BrokerNode

_MIB_CHANGED = 60
LIMIT = "limit: podman run, until sshd answers"
COMMIT = f"limit: podman commit, {_MIB_CHANGED} MiB changed"
LOGIN, BUILD = "create, to the login", "`fab build_appliance`, nothing changed"
TIMES = 5
AT_ONCE = 5
_BOOT_S = 60


def clouds(_: BrokerNode) -> Iterator[Turn]:
    """Each step several times, on a cloud of the benchmark's own."""
    base.ensure()
    with sat_down() as desk:
        key = keys.ensure(desk.folder / "bench-key", comment="bench")
        yield from _turns(desk.cloud, key)
        recipe = desk.recipe("unchanged", run=["true"])
        desk.fab("build_appliance", "--recipe", recipe)
        for _again in range(TIMES):
            yield _seconds(
                BUILD,
                partial(desk.fab, "build_appliance", "--recipe", recipe),
            )


def _turns(driver: LocalNodeDriver, key: KeyPair) -> Iterator[Turn]:
    debian = driver.get_image("debian-12")
    for _ in range(TIMES):
        yield _seconds(LIMIT, _bare)
        yield _committed()
    made = list[Node]()
    for _ in range(TIMES):
        yield _seconds(LOGIN, partial(_launched, driver, key, debian, made))
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


def bare_s() -> float:
    """Return how long a bare machine takes until its sshd answers."""
    return _seconds(LIMIT, _bare).rate


def _seconds(name: str, work: Callable[[], object]) -> Turn:
    started = time.monotonic()
    work()
    return Turn(name, time.monotonic() - started, unit="s")


def _bare() -> None:
    with _bare_machine() as (_, port):
        wait_for_sshd("127.0.0.1", port, timeout_s=_BOOT_S)


def _committed() -> Turn:
    """Save a bare machine in which as much has changed."""
    with _bare_machine() as (name, _):
        change = f"head -c {_MIB_CHANGED}M /dev/urandom >/opt/change; sync"
        OURS.run("exec", name, "sh", "-c", change)
        OURS.run("stop", "--time", "5", name)
        turn = _seconds(COMMIT, partial(OURS.run, "commit", "--quiet", name, f"localhost/{name}"))
        OURS.run("rmi", f"localhost/{name}")
        return turn


@contextmanager
def _bare_machine() -> Iterator[tuple[str, int]]:
    """Give a machine's name and its ssh port."""
    name = f"bare-{time.time_ns()}"
    options = ("--detach", "--systemd=always", "--cap-add=SYS_ADMIN", *limits())
    network = ("--network=slirp4netns", "--publish=127.0.0.1::22")
    OURS.run(
        *("run", "--name", name, *options, *network),
        labels.reference(base.image_id()),
        "/sbin/init",
    )
    try:
        yield name, int(OURS.run("port", name, "22").rpartition(":")[2])
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


SCENARIO = Scenario(
    "clouds",
    "How long does a machine of the local cloud take to come and to be saved? (less is better)",
    LIMIT,
    clouds,
    goals=(
        Goal("a login within 1.5 x the bare machine", ratio(LOGIN, LIMIT), at_most=1.5),
        Goal("a build of unchanged content: 2 s", value(BUILD), at_most=2),
    ),
    rounds=1,
    longest_s=600,
)
