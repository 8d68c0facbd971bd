"""libcloud's dummy, but one that keeps names: the least that a cloud must do for us."""

from typing import Any

from libcloud.compute.base import Node
from libcloud.compute.drivers.dummy import DummyNodeDriver


class NamedDriver(DummyNodeDriver):
    """Nodes are called what they were launched as."""

    def create_node(self, name: str, size: Any, image: Any) -> Node:  # type: ignore[override]
        """Launch a node, which has its name."""
        node: Node = super().create_node(name, size, image)  # type: ignore[no-untyped-call]
        node.name = name
        return node
