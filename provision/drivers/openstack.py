"""OpenStack: libcloud's driver, with names for ids, and tags where OpenStack keeps metadata."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from libcloud.compute.base import Node, NodeImage, NodeSize
from libcloud.compute.drivers.openstack import OpenStack_2_NodeDriver

from provision.entries import OpenstackEntry
from provision.errors import Kind, ProvisionError
from provision.machine import PREFIX

_SSH = 22


class OpenstackDriver(OpenStack_2_NodeDriver):
    """One project of an OpenStack cloud."""

    _wanted: tuple[str, ...] = ()

    def prepare(self, entry: OpenstackEntry) -> None:
        """Take in what the inventory says beyond libcloud's own arguments."""
        self._wanted = entry.networks

    def create_node(  # type: ignore[override]
        self,
        *,
        name: str,
        size: NodeSize,
        image: NodeImage,
        ex_metadata: Mapping[str, str],
        ex_security_groups: list[str] | None = None,
        **more: Any,
    ) -> Node:
        """Launch a machine; its size, networks and groups are given by name."""
        libclouds: Any = super()
        groups = [SimpleNamespace(name=group) for group in ex_security_groups or ()]
        node: Node = libclouds.create_node(
            name=name,
            size=self._size(size),
            image=image,
            networks=self._networks(),
            ex_metadata=dict(ex_metadata),
            ex_security_groups=groups,
            **more,
        )
        return _with_tags(node)

    def list_nodes(self, *_: Any, **__: Any) -> list[Node]:
        """Return the project's machines, with their metadata as tags."""
        libclouds: Any = super()
        return [_with_tags(node) for node in libclouds.list_nodes()]

    def create_image(  # type: ignore[override]
        self, node: Node, name: str, *, ex_metadata: Mapping[str, str], **_: Any
    ) -> NodeImage:
        """Make an image of a stopped machine."""
        libclouds: Any = super()
        image: NodeImage = libclouds.create_image(node, name, metadata=dict(ex_metadata))
        return image

    def delete_image(self, node_image: NodeImage) -> bool:
        """Delete an image at Glance: libcloud asks Nova, which has long forgotten how."""
        glance: Any = self.image_connection
        glance.request(f"/v2/images/{node_image.id}", method="DELETE")
        return True

    def ex_create_tags(self, resource: Node | NodeImage, tags: Mapping[str, str]) -> bool:
        """Add to and replace a machine's metadata or an image's properties."""
        if isinstance(resource, Node):
            # POST, not libcloud's PUT: that one drops what isn't named
            path = f"/servers/{resource.id}/metadata"
            self.connection.request(path, method="POST", data={"metadata": dict(tags)})
        else:
            known = next(image for image in self.list_images() if image.id == resource.id)
            changes = [
                {
                    "op": "replace" if key in known.extra["tags"] else "add",
                    "path": "/" + key.replace("~", "~0").replace("/", "~1"),
                    "value": value,
                }
                for key, value in tags.items()
            ]
            self.ex_update_image(resource.id, changes)
        return True

    def ex_groups(self) -> list[str]:
        """Return the names of all security groups."""
        return [group.name for group in self.ex_list_security_groups()]

    def ex_ensure_group(
        self, name: str, cidr: str, ports: Sequence[int] = (_SSH,), members: str | None = None
    ) -> None:
        """Make sure that there is a security group `name` which lets in to `ports` from `cidr`.

        And from machines in the group `members`.
        """
        there = {group.name: group for group in self.ex_list_security_groups()}
        group = there[name] if name in there else self.ex_create_security_group(name, name)
        rules = {(r.from_port, r.ip_range or r.group.get("name")) for r in group.rules}
        for port in ports:
            if (port, cidr) not in rules:
                self.ex_create_security_group_rule(group, "tcp", port, port, cidr)
            source = there.get(members)
            if source and (port, source.id) not in rules:
                self.ex_create_security_group_rule(
                    group, "tcp", port, port, source_security_group=source
                )

    def ex_delete_group(self, name: str) -> bool:
        """Delete a security group."""
        for group in self.ex_list_security_groups():
            if group.name == name:
                self.ex_delete_security_group(group)
        return True

    def _to_image(self, api_image: dict[str, Any]) -> NodeImage:
        libclouds: Any = super()
        image: NodeImage = libclouds._to_image(api_image)  # noqa: SLF001 libcloud drops properties
        image.extra["tags"] = {k: v for k, v in api_image.items() if k.startswith(PREFIX)}
        return image

    def _size(self, wanted: NodeSize) -> NodeSize:
        sizes: list[NodeSize] = self.list_sizes()
        found = [size for size in sizes if wanted.id in (size.id, size.name)]
        if not found:
            names = ", ".join(sorted(size.name for size in sizes))
            raise ProvisionError(f"no size {wanted.id!r}; there are: {names}", Kind.GONE)
        return found[0]

    def _networks(self) -> list[Any]:
        if not self._wanted:
            return []
        there = {network.name: network for network in self.ex_list_networks()}
        unknown = [name for name in self._wanted if name not in there]
        if unknown:
            raise ProvisionError(
                f"no network {', '.join(unknown)}; there are: {', '.join(sorted(there))}", Kind.GONE
            )
        return [there[name] for name in self._wanted]


def _with_tags(node: Node) -> Node:
    extra = node.extra
    extra["tags"] = extra.get("metadata") or {}
    extra["image_id"], extra["instance_type"] = extra.get("imageId"), extra.get("flavorId")
    return node
