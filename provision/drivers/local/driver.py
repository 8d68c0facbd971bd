"""The local cloud as a libcloud driver: machines on this computer, by podman."""

import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeLocation, NodeSize

from provision.drivers.local import base, gate, labels, leftovers, machines, volumes
from provision.drivers.local.engine import Engine, check_storage
from provision.drivers.local.leftovers import Leftover
from provision.errors import Kind, ProvisionError
from provision.machine import ROLE, Role, ports_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Name and memory in MiB. Processors are shared by all machines.
_SIZES = {"small": 512, "medium": 2048, "large": 8192}
#: Escape sequences of terminals: colours, cursors, titles; and what a terminal makes of newlines.
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|.)|\r")
#: A snapshot writes about 60 MB a second.
_SAVE_TIMEOUT_S = 1800


class LocalNodeDriver(NodeDriver):
    """Machines of one local cloud. Keeps no state: podman is asked each time.

    `key` names the cloud: several on one computer don't see each other's machines. `socket` is
    where podman serves, if it isn't this computer's own; `gates` a folder of this computer in which
    machines that launch others find podman: `ex_open_gate`.
    """

    type = "local"
    name = "Machines on this computer"
    website = "https://podman.io"

    def __init__(self, key: str, socket: str | None = None, gates: Path | None = None) -> None:
        if not _NAME.fullmatch(key):
            raise ProvisionError(f"{key!r}: a local cloud's name is letters, digits, '.', '_', '-'")
        super().__init__(key)  # type: ignore[no-untyped-call]
        self.cloud = key
        self.engine = Engine(socket)
        self._gates = gates

    def list_sizes(self, location: NodeLocation | None = None) -> list[NodeSize]:  # noqa: ARG002 libcloud's
        """Return the sizes: memory that a machine may use."""
        return [
            NodeSize(id=name, name=name, ram=ram, disk=0, bandwidth=None, price=0.0, driver=self)
            for name, ram in _SIZES.items()
        ]

    def list_images(self, location: NodeLocation | None = None) -> list[NodeImage]:  # noqa: ARG002 libcloud's
        """Return the base image, made or not yet, and the images saved on this cloud."""
        rows = self.engine.listed("images", "--filter", f"label={labels.CLOUD}={self.cloud}")
        changed = volumes.changed_tags(self.engine, self.cloud)
        saved = [self._image(row, changed) for row in rows if labels.image_id(row)]
        if self.engine.socket:  # the base image is made where podman is
            return saved
        first = NodeImage(base.image_id(), base.NAME, self, {"state": "available", "tags": {}})
        return [first, *saved]

    def get_image(self, image_id: str) -> NodeImage:
        """Return one image; the base image is found by its name, too.

        Raises:
            ProvisionError: there is none (GONE).
        """
        for image in self.list_images():
            if image_id == image.id or image_id == base.NAME == image.name:
                return image
        raise ProvisionError(f"no image {image_id} on the cloud {self.cloud}", Kind.GONE)

    def list_nodes(self) -> list[Node]:
        """Return all machines, also those that are half made or stopped."""
        rows = machines.rows(self.engine, self.cloud)
        changed = volumes.changed_tags(self.engine, self.cloud)
        return [self._node(row, changed) for row in rows]

    def create_node(  # type: ignore[override]
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        *,
        ex_userdata: str = "",
        ex_metadata: Mapping[str, str] | None = None,
    ) -> Node:
        """Start a machine and return it; it isn't up yet, its sshd answers in a second or two.

        `ex_userdata` is for its cloud-init, `ex_metadata` are its tags: they also say which ports
        are published, and whether it gets a gate.

        Raises:
            ProvisionError: it can't be made; nothing of it is left.
        """
        if size.id not in _SIZES:
            raise ProvisionError(f"no size {size.id!r} on a local cloud: {', '.join(_SIZES)}")
        check_storage(self.engine)
        if image.id == base.image_id():
            base.ensure(self.engine)
        machine_id, tags = f"i-{secrets.token_hex(9)[:17]}", ex_metadata or {}
        own = {
            labels.CLOUD: self.cloud,
            labels.NAME: quote(name),
            labels.IMAGE: image.id,
            labels.SIZE: size.id,
            labels.TAGS: labels.written(tags),
        }
        machine = machines.Order(
            *(machine_id, name, self.cloud, image.id, _SIZES[size.id], own),
            ports=ports_of(tags),
            gate=self._gate(machine_id) if tags.get(ROLE) == Role.MANAGER else None,
        )
        try:
            machines.start_new(self.engine, machine, ex_userdata)
        except BaseException:
            with suppress(ProvisionError):  # the first error is the one to hear
                machines.remove(self.engine, self.cloud, machine_id)
            raise
        return self._node(machines.row(self.engine, self.cloud, machine_id), {})

    def destroy_node(self, node: Node) -> bool:
        """End a machine at once, with all that belongs to it. Twice is no error."""
        machines.remove(self.engine, self.cloud, str(node.id))
        if self._gates:
            shutil.rmtree(self._gates / str(node.id), ignore_errors=True)
        return True

    def reboot_node(self, node: Node) -> bool:
        """Shut a machine down and start it. A `reboot` inside it only stops it."""
        self.engine.run("restart", "--time", "10", str(node.id))
        return True

    def stop_node(self, node: Node) -> bool:
        """Shut a machine down; its file system stays."""
        self.engine.run("stop", "--time", "10", str(node.id))
        return True

    def start_node(self, node: Node) -> bool:
        """Start a machine that was stopped."""
        self.engine.run("start", str(node.id))
        return True

    def create_image(  # type: ignore[override]
        self,
        node: Node,
        name: str,
        description: str | None = None,  # noqa: ARG002 libcloud's; tags say more
        *,
        ex_metadata: Mapping[str, str] | None = None,
    ) -> NodeImage:
        """Save a machine's file system as an image, tagged from the first moment on.

        A running machine goes on meanwhile: what it is just writing may be saved by half.
        """
        image_id = f"img-{secrets.token_hex(9)[:17]}"
        own = {
            labels.CLOUD: self.cloud,
            labels.NAME: quote(name),
            labels.TAGS: labels.written(ex_metadata or {}),
        }
        where = labels.reference(image_id)
        self.engine.run(
            *("commit", "--quiet", *labels.changes(own), str(node.id), where),
            timeout_s=_SAVE_TIMEOUT_S,
        )
        return self.get_image(image_id)

    def delete_image(self, node_image: NodeImage) -> bool:
        """Delete an image. Machines and images made from it go on; twice is no error."""
        if node_image.id == base.image_id():
            raise ProvisionError("the base image isn't this cloud's alone: podman rmi removes it")
        machines.forget_image(self.engine, node_image.id)
        volumes.remove_all(self.engine, self.cloud, node_image.id)
        return True

    def ex_create_tags(self, resource: Node | NodeImage, tags: Mapping[str, str]) -> bool:
        """Add tags to a machine or image, or replace them."""
        wanted = str(resource.id)
        found = self._get(wanted) if isinstance(resource, Node) else self.get_image(wanted)
        volumes.add_tags(self.engine, self.cloud, wanted, found.extra["tags"], tags)
        return True

    def ex_get_console_output(self, node: Node) -> dict[str, str]:
        """Return, as `output`, what a machine wrote on its console, its host keys among it."""
        text = self.engine.run("logs", str(node.id))
        return {"output": _TERMINAL.sub("", text)}

    def ex_open_gate(self, node: Node) -> str:
        """Let a machine of the role "manager" use podman as long as it runs.

        Returns the socket's path on the machine. Twice is once.

        Raises:
            ProvisionError: it doesn't run, or podman doesn't serve.
        """
        gate.open_for(self.engine, str(node.id), self._gate(str(node.id)))
        return f"{machines.GATE}/{gate.SOCKET}"

    def ex_busy(self) -> bool:
        """Say whether podman is making a machine or an image, also for somebody killed."""
        return machines.being_made(self.engine, self.cloud)

    def ex_list_leftovers(self, min_age_s: float = 60) -> list[Leftover]:
        """Return what crashes left that neither machines nor images show."""
        return leftovers.find(self.engine, self.cloud, min_age_s=min_age_s)

    def ex_remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them; it may be gone already."""
        leftovers.remove(self.engine, leftover)

    def _gate(self, machine_id: str) -> Path:
        if self._gates is None:
            raise ProvisionError(f"{self.cloud}: no machine of this cloud may launch others")
        return gate.folder(self._gates, machine_id)

    def _get(self, machine_id: str) -> Node:
        for node in self.list_nodes():
            if node.id == machine_id:
                return node
        raise ProvisionError(f"no machine {machine_id} on the cloud {self.cloud}", Kind.GONE)

    def _node(self, row: Mapping[str, Any], changed: Mapping[str, Mapping[str, str]]) -> Node:
        own, machine_id = labels.of_row(row), str(row["Names"][0])
        created_at = datetime.fromtimestamp(row["Created"], UTC)
        ports = machines.published(row)
        return Node(
            id=machine_id,
            name=unquote(own.get(labels.NAME, "")),
            state=machines.state(row, datetime.now(UTC)),
            public_ips=[self.engine.host],
            private_ips=[],
            driver=self,
            created_at=created_at,
            extra={
                "ssh_port": ports.pop(machines.SSH, None),
                "ports": ports,
                "image_id": own.get(labels.IMAGE, ""),
                "instance_type": own.get(labels.SIZE, ""),
                "tags": dict(changed.get(machine_id) or labels.read(own)),
            },
        )

    def _image(self, row: Mapping[str, Any], changed: Mapping[str, Mapping[str, str]]) -> NodeImage:
        own, image_id = labels.of_row(row), labels.image_id(row)
        extra = {
            "state": "available",
            "creation_date": datetime.fromtimestamp(row["Created"], UTC).isoformat(),
            "tags": dict(changed.get(image_id) or labels.read(own)),
        }
        return NodeImage(image_id, unquote(own.get(labels.NAME, "")), self, extra)
