"""Nimbus: its EC2 front end, and cloud-client.sh for what that can't: leases, saving, handles.

The front end takes 16 actions, signature version 2, no tags and no filters, and ends what it
launched after the site's default. It knows a repeated launch by its client token.
"""

from pathlib import Path
from typing import Any

from libcloud.compute.base import Node, NodeImage, NodeSize
from libcloud.compute.drivers import ec2
from libcloud.compute.types import NodeState

from provision.drivers.cloud_client import CloudClient, Workspace
from provision.drivers.ec2like import Connection, Mended
from provision.entries import NimbusEntry
from provision.errors import ProvisionError
from provision.leases import Lease

_STATES = {
    "Running": NodeState.RUNNING,
    "Cancelled": NodeState.TERMINATED,
    "Corrupted": NodeState.ERROR,
}
_HOUR_S = 3600


class NimbusConnection(Connection):
    """Nimbus has no address of its own: the inventory names it."""

    host = None  # type: ignore[assignment]


class NimbusDriver(Mended, ec2.NimbusNodeDriver):
    """One Nimbus cloud."""

    connectionCls = NimbusConnection  # type: ignore[assignment]
    client: CloudClient | None = None
    front_end_hours: float = 24

    def prepare(self, entry: NimbusEntry, history: Path, name: str) -> None:
        """Take in what the inventory says beyond libcloud's own arguments."""
        self.front_end_hours = entry.front_end_hours
        self.trust(entry.ca_file)
        if entry.cloud_client:
            self.client = CloudClient(entry.cloud_client, history, entry.cloud_client_conf, name)

    def create_node(  # type: ignore[override]
        self,
        *,
        name: str,
        size: NodeSize,
        image: NodeImage,
        ex_clienttoken: str = "",
        ex_userdata: str | None = None,
        ex_lease: Lease | None = None,
        ex_keyname: str | None = None,
        **more: Any,
    ) -> Node:
        """Launch by cloud-client where there is one, else by the front end.

        Only the front end takes user data, and only cloud-client a lease of one's own.
        """
        hours = (ex_lease.ends_at - ex_lease.starts_at).total_seconds() / _HOUR_S if ex_lease else 0
        if self.client and not ex_userdata:
            handle = self._launched(ex_clienttoken) or self.client.run(
                image.id,
                hours=hours,
                token=ex_clienttoken,
                new_name=ex_lease.save_as if ex_lease else None,
                key_name=ex_keyname,
            )
            return self._handled(handle, name, ex_clienttoken)
        if hours > self.front_end_hours:
            reason = "user data go" if self.client else "without cloud_client machines are launched"
            raise ProvisionError(
                f"{reason} through the EC2 front end, which ends machines after"
                f" {self.front_end_hours:g} hours, not {hours:g}: ask for fewer"
            )
        front_end: Any = super()
        node: Node = front_end.create_node(
            name=name,
            size=size,
            image=image,
            ex_clienttoken=ex_clienttoken,
            ex_userdata=ex_userdata,
            ex_keyname=ex_keyname,
            **more,
        )
        return node

    def list_nodes(self, *_: Any, **__: Any) -> list[Node]:
        """Return every machine once: by its handle where our history has one."""
        front_end: Any = super()
        listed: list[Node] = front_end.list_nodes()
        if self.client is None:
            return listed
        ours = [w for w in self.client.status() if w.handle]
        addresses = {workspace.address for workspace in ours}
        rest = [n for n in listed if not addresses & {*n.public_ips, *n.private_ips}]
        return [self._workspace(workspace) for workspace in ours] + rest

    def destroy_node(self, node: Node) -> bool:
        """End a machine by the way that it came."""
        if self.client and _is_handle(node.id):
            if any(workspace.handle == node.id for workspace in self.client.status()):
                self.client.terminate(str(node.id))
            return True
        front_end: Any = super()
        return bool(front_end.destroy_node(node))

    def import_key_pair_from_string(self, name: str, key_material: str) -> Any:
        """Import a public key, and keep it where cloud-client finds it."""
        if self.client:
            self.client.keep_key(name, key_material)
        front_end: Any = super()
        return front_end.import_key_pair_from_string(name, key_material)

    def list_images(  # type: ignore[override]
        self, location: object = None, **_: Any
    ) -> list[NodeImage]:
        """Return images; on Nimbus an image's id is its name."""
        if self.client:
            return [NodeImage(name, name, driver=self) for name in self.client.images()]
        front_end: Any = super()
        found: list[NodeImage] = front_end.list_images(location, ex_owner=None)
        return [NodeImage(i.id, i.name or i.id, driver=self, extra=i.extra) for i in found]

    def create_image(self, node: Node, name: str, **_: Any) -> NodeImage:  # type: ignore[override]
        """Save a machine that cloud-client launched; Nimbus ends it for that."""
        if self.client is None or not _is_handle(node.id):
            raise ProvisionError(
                f"{node.id} was launched through the EC2 front end, which can't save machines;"
                " launch it without user data, by cloud-client"
            )
        self.client.save(str(node.id), name)
        return NodeImage(name, name, driver=self)

    def delete_image(self, image: NodeImage) -> bool:
        """Delete an image of our own repository."""
        if self.client is None:
            raise ProvisionError("images are deleted by cloud-client; set cloud_client")
        self.client.delete_image(image.id)
        return True

    def ex_busy(self) -> bool:
        """Say whether something that nobody lists yet is under way."""
        return self.client is not None and self.client.busy()

    def _launched(self, token: str) -> str | None:
        """Return the handle that a launch with this token gave before: twice is once."""
        assert self.client  # noqa: S101 whoever calls has looked
        handles = (workspace.handle for workspace in self.client.status())
        return next((h for h in handles if h and self.client.token_of(h) == token), None)

    def _workspace(self, found: Workspace) -> Node:
        assert found.handle  # noqa: S101 whoever calls has looked
        assert self.client  # noqa: S101
        token = self.client.token_of(found.handle)
        node = self._handled(found.handle, found.handle, token)
        node.state = _STATES.get(found.state, NodeState.PENDING)
        node.public_ips = [found.address]
        node.extra["image_id"] = found.image
        return node

    def _handled(self, handle: str, name: str, token: str) -> Node:
        assert self.client  # noqa: S101
        return Node(
            handle,
            name,
            NodeState.PENDING,
            [],
            [],
            driver=self,
            created_at=self.client.launched_at(handle),
            extra={"client_token": token},
        )


def _is_handle(machine_id: str | None) -> bool:
    return str(machine_id).startswith("vm-")
