"""A person who types fab, in a folder of their own, with a local cloud that nobody else sees."""

import json
import os
import secrets
import shlex
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from provision.drivers.local import LocalNodeDriver, base
from provision.leases import written
from provision.machine import LEASE_UNTIL
from tests.embedded import ROOT, Person, stack_folder_of_a_test
from tests.provision.local.machines import need_machines

FAB_S = 900


class Desk:
    """The folder, the cloud, and the person's commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cloud = LocalNodeDriver(f"test-{secrets.token_hex(4)}")
        path = os.environ["PATH"]
        self.environment = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        (folder / "inventory").mkdir()
        entry = {
            "kind": "local",
            "images": {"debian": base.NAME},
            "sizes": {"small": "small", "medium": "medium"},
            "limits": {"calls_per_s": 50},
        }
        inventory = {
            "defaults": {"cloud": self.cloud.cloud, "owner": "tests"},
            "clouds": {self.cloud.cloud: entry},
            # machines that a manager launches end soon after their work
            "appliances": {
                "stream-agent": {"idle_minutes": 0.05},
                "one-slot": {"idle_minutes": 0.05, "slots": 1},
                "never-boots": {"idle_minutes": 0.05},
                "short-lease": {"idle_minutes": 0.05, "hours": 0.06},
            },
        }
        (folder / "inventory" / "clouds.yaml").write_text(json.dumps(inventory))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a fab task."""
        return subprocess.run(
            [f"{sys.prefix}/bin/fab", "--search-root", str(ROOT), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=FAB_S,
            check=False,
        )

    def fab(self, *words: str) -> str:
        """Run a fab task that succeeds, and return what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run a fab task that fails as expected, and return what it says: no traceback."""
        done = self.run(*words)
        assert done.returncode == 1, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr

    def recipe(self, name: str, **more: Any) -> str:
        """Write a recipe, and return its path."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, "from": {"image": "debian"}, **more}))
        return str(path)

    def person(self) -> Person:
        """Return somebody who uses the stack that a build brought up."""
        return Person(self.folder)

    def left(self) -> list[str]:
        """Return the ids of machines that there are."""
        return [str(node.id) for node in self.cloud.list_nodes()]

    def end_lease(self, handle: str) -> None:
        """Let a machine's lease have ended a minute ago, as far as its cloud knows."""
        (node,) = [node for node in self.cloud.list_nodes() if node.id == handle]
        ended = written(datetime.now(UTC) - timedelta(minutes=1))
        self.cloud.ex_create_tags(node, {LEASE_UNTIL: ended})

    def end_machines(self) -> None:
        """End all machines."""
        for node in self.cloud.list_nodes():
            self.cloud.destroy_node(node)

    def wipe(self) -> None:
        """Remove all that the cloud has."""
        self.end_machines()
        for image in self.cloud.list_images():
            if image.id != base.image_id():
                self.cloud.delete_image(image)
        for leftover in self.cloud.ex_list_leftovers(min_age_s=0):
            self.cloud.ex_remove_leftover(leftover)


@contextmanager
def sat_down() -> Iterator[Desk]:
    """Give a desk for the length of a `with` block; nothing of it is left."""
    need_machines()
    with stack_folder_of_a_test() as folder:
        desk = Desk(folder)
        try:
            yield desk
        finally:
            desk.wipe()


def over_ssh(output: str, command: str) -> str:
    """Run a command on the machine of which a task printed the ssh command."""
    line = next(line for line in output.splitlines() if line.startswith("ssh "))
    return subprocess.run(
        [*shlex.split(line), command], capture_output=True, text=True, timeout=300, check=True
    ).stdout


def value(output: str, label: str) -> str:
    """Return what a task printed behind `label`."""
    lines = (line.partition(": ") for line in output.splitlines())
    return next(rest for head, _, rest in lines if head.strip() == label)


def png(width: int, height: int) -> bytes:
    """Return a grey picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(width)) for y in range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def size_of(picture: bytes) -> tuple[int, int]:
    """Return a PNG's width and height."""
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height
