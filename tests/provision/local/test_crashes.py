"""Whoever drives the local cloud is killed at any podman call: all that is there can be listed."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from libcloud.compute.base import Node, NodeImage

from provision.drivers.local import LocalNodeDriver, leftovers
from provision.drivers.local.engine import OURS
from provision.drivers.local.leftovers import Leftover
from provision.errors import ProvisionError
from tests.eventually import eventually
from tests.provision.local.conftest import wipe
from tests.provision.local.machines import Booted, debian, small

#: Starts podman and, at the chosen call, signals whoever started it: before it, or while it runs.
KILLER = """\
#!/bin/sh
n=$(($(cat "$FOLDER/calls" 2>/dev/null || echo 0) + 1))
echo $n >"$FOLDER/calls"
[ "$KILL" = "before $n" ] && kill -${SIGNAL:-KILL} $PPID && exit
if [ "$KILL" = "during $n" ]; then
    exec 3<&0
    podman=$(command -v -p podman)
    "$podman" "$@" <&3 &
    kill -${SIGNAL:-KILL} $PPID
    wait
    touch "$FOLDER/ended"
    exit
fi
exec $(command -v -p podman) "$@"
"""
#: Starts podman and kills podman itself, in the middle of making a machine.
MURDERER = """\
#!/bin/sh
for word; do [ "$word" = run ] && running=yes; done
[ "$running" ] || exec $(command -v -p podman) "$@"
$(command -v -p podman) "$@" &
sleep $DELAY
kill -9 $!
wait $!
"""
CALL = """
import sys
from libcloud.compute.base import Node, NodeImage, NodeSize
from provision.drivers.local import LocalNodeDriver, leftovers
from provision.drivers.local.leftovers import Leftover
cloud, call, resource = sys.argv[1:]
driver = LocalNodeDriver(cloud)
size = driver.list_sizes()[0]
node = Node(resource, "", "running", [], [], driver)
image = NodeImage(resource, "", driver)
tags = {"attempt": "1"}
if call == "create":
    driver.create_node("crash", size, image, ex_userdata="#cloud-config", ex_metadata=tags)
elif call == "save":
    driver.create_image(node, "crash", ex_metadata=tags)
elif call == "tag":
    driver.ex_create_tags(image, tags)
elif call == "destroy":
    driver.destroy_node(node)
else:
    driver.delete_image(image)
"""
#: How many times each calls podman.
CALLS = {"create": 6, "save": 3, "tag": 5, "destroy": 3, "delete": 5}
POINTS = [
    (call, f"{moment} {number}")
    for call, count in CALLS.items()
    for number in range(1, count + 1)
    for moment in ("before", "during")
]
_RANDOM = random.Random(11)  # noqa: S311 the same ones each time
SAMPLE = {_RANDOM.choice([point for point in POINTS if point[0] == call]) for call in CALLS}


@pytest.fixture
def cloud(driver: LocalNodeDriver) -> Iterator[LocalNodeDriver]:
    """A cloud of the test's own, with nothing in it."""
    own = LocalNodeDriver(f"{driver.cloud}-crash")
    yield own
    wipe(own)


@pytest.mark.parametrize(
    ("call", "moment"),
    [
        pytest.param(*point, marks=() if point in SAMPLE else pytest.mark.long, id=" ".join(point))
        for point in POINTS
    ],
)
def test_a_driver_killed_in_a_call_leaves_only_what_is_listed(
    cloud: LocalNodeDriver, machine: Booted, tmp_path: Path, call: str, moment: str
) -> None:
    resource = _resource_for(call, cloud, machine)
    assert _run(cloud, call, resource, tmp_path, f"KILL {moment}") == -signal.SIGKILL
    # what was made carries its tags from the first moment on, so recovery knows it
    assert all(tags == {"attempt": "1"} for tags in _tags(cloud, "crash"))
    # and tags that change are the old ones or the new ones, never none
    assert all(
        tags in ({"old": "tag"}, {"old": "tag", "attempt": "1"}) for tags in _tags(cloud, "victim")
    )
    wipe(cloud)
    assert not everything(cloud)


def test_an_interrupted_launch_leaves_nothing(cloud: LocalNodeDriver, tmp_path: Path) -> None:
    making = f"INT during {CALLS['create'] - 1}"
    ended = _run(cloud, "create", str(debian(cloud).id), tmp_path, making)
    assert ended == -signal.SIGINT
    assert not everything(cloud)


@pytest.mark.parametrize(
    "delay_ms",
    [120, *(pytest.param(delay, marks=pytest.mark.long) for delay in range(20, 320, 30))],
)
def test_a_podman_killed_while_it_makes_a_machine_leaves_nothing_behind(
    cloud: LocalNodeDriver, path_with: Path, monkeypatch: pytest.MonkeyPatch, delay_ms: int
) -> None:
    monkeypatch.setenv("DELAY", str(delay_ms / 1000))
    program(path_with / "podman", MURDERER)
    with suppress(ProvisionError):  # what it says depends on how far it came
        cloud.create_node("x", small(cloud), debian(cloud))
    wipe(cloud)
    assert not everything(cloud)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace as a podman leaves it that was killed before its machine came to be."""
    name = f"netns-{uuid.uuid4()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.usefixtures("driver")
def test_a_network_namespace_of_nobody_goes_when_it_is_old_enough(namespace: str) -> None:
    def found(before: float) -> list[Leftover]:
        return [
            each for each in leftovers._namespaces(OURS, before) if each.name.endswith(namespace)
        ]

    assert not found(time.time() - 60)  # its machine may be just coming
    with subprocess.Popen(["ip", "netns", "exec", namespace, "sleep", "60"]) as process:
        eventually(lambda: not found(time.time()))  # somebody lives in it
        process.kill()
    (leftover,) = found(time.time())
    leftovers.remove(OURS, leftover)
    leftovers.remove(OURS, leftover)
    assert not Path(leftover.name).exists()


@pytest.mark.usefixtures("driver")
def test_a_monitor_without_a_machine_goes_when_it_is_old_enough(machine: Booted) -> None:
    # Given what looks like podman's monitor of a machine that podman doesn't know
    options = ["-c", "0" * 64, "-u", "0" * 64, "-n", f"i-{'0' * 17}", "--full-attach"]
    command = ["/usr/bin/conmon", "-c", "input()", *options]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE) as monitor:

        def found(before: float) -> list[Leftover]:
            return [
                each for each in leftovers._monitors(OURS, before) if each.name == str(monitor.pid)
            ]

        (leftover,) = eventually(lambda: found(time.time()))
        assert not found(time.time() - 60)
        leftovers.remove(OURS, leftover)
    assert monitor.returncode == -signal.SIGKILL
    assert machine.sh("echo alive") == "alive"


def _resource_for(call: str, cloud: LocalNodeDriver, machine: Booted) -> str:
    """Make what a call works on, and return its id."""
    if call == "create":
        return str(debian(cloud).id)
    if call == "save":
        return machine.id
    if call == "destroy":
        tags = {"old": "tag"}
        node: Node = cloud.create_node("victim", small(cloud), debian(cloud), ex_metadata=tags)
        return str(node.id)
    image: NodeImage = cloud.create_image(machine.node, "victim")
    cloud.ex_create_tags(image, {"old": "tag"})
    return str(image.id)


def _tags(cloud: LocalNodeDriver, name: str) -> list[dict[str, str]]:
    """Return the tags of all machines and images of a name."""
    nodes = [node.extra["tags"] for node in cloud.list_nodes() if node.name == name]
    return nodes + [each.extra["tags"] for each in cloud.list_images() if each.name == name]


def test_what_podman_still_makes_for_somebody_killed_is_seen(cloud: LocalNodeDriver) -> None:
    assert not cloud.ex_busy()
    # Given what looks like a podman that takes its time
    command = ["podman", "-c", "input()", "run", f"--label=streamboss.cloud={cloud.cloud}", "image"]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE) as slow:
        assert eventually(cloud.ex_busy)
        assert not LocalNodeDriver(f"{cloud.cloud}-other").ex_busy()
        slow.communicate(b"\n")
    assert not cloud.ex_busy()


def _run(
    cloud: LocalNodeDriver,
    call: str,
    resource: str,
    folder: Path,
    moment: str,
) -> int:
    """Let another process make a call, and be killed; return when its podman has ended, too.

    `moment` is a signal, when to send it, and at which call of podman's.
    """
    program(folder / "podman", KILLER)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "FOLDER": str(folder),
        "SIGNAL": moment.partition(" ")[0],
        "KILL": moment.partition(" ")[2],
    }
    command = [sys.executable, "-c", CALL, cloud.cloud, call, resource]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode < 0, (folder / "calls").read_text() + done.stderr
    if "during" in moment:
        eventually((folder / "ended").exists)
    return done.returncode


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def everything(cloud: LocalNodeDriver) -> str:
    """Return all that podman has of a cloud, also what we wouldn't list."""
    mark = ["--quiet", "--filter", f"label=streamboss.cloud={cloud.cloud}"]
    lists = (["ps", "--all"], ["volume", "ls"], ["images", "--all"])
    return "".join(
        subprocess.run(["podman", *words, *mark], capture_output=True, text=True, check=True).stdout
        for words in lists
    )
