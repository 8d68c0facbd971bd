"""Nodes, which are for admins."""

from manager import topology
from manager.actions.noting import note
from manager.model import User
from manager.roles import must_be_admin
from manager.services import Services


def add_node(services: Services, user: User, name: str) -> list[str]:
    """Add a node; return the broker's addresses with its own user and password."""
    must_be_admin(user)
    addresses = topology.add_node(services, name, user.name)
    note(services, user, "node.added", name)
    return addresses


def remove_node(services: Services, user: User, name: str) -> None:
    """Remove a node; its connections are closed, its operations go elsewhere."""
    must_be_admin(user)
    topology.remove_node(services, name)
    note(services, user, "node.removed", name)
