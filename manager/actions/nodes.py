"""Nodes, which are for admins."""

from collections.abc import Sequence
from typing import Any

from manager import topology
from manager.actions.noting import note
from manager.model import User
from manager.roles import must_be_admin
from manager.services import Services


def add_node(services: Services, user: User, name: str, offers: Sequence[str]) -> dict[str, Any]:
    """Add a node that may offer these applications.

    Returns:
        What its agent.json says of the broker, its own password included.
    """
    must_be_admin(user)
    joining = topology.add_node(services, name, user.name, offers)
    note(services, user, "node.added", name, offers=list(offers))
    return joining


def remove_node(services: Services, user: User, name: str, *, at_once: bool = False) -> bool:
    """Remove a node; its connections are closed, its operations go elsewhere.

    Returns:
        True for a machine that the manager launched: it is drained, terminated, and then removed;
        `at_once` isn't drained.
    """
    must_be_admin(user)
    launched = services.store.find_machine(name) is not None
    if launched:
        why, now = f"removed by {user.name}", services.store.now()
        services.store.end_machine(name, why, now, at_once=at_once)
    else:
        topology.remove_node(services, name)
    note(services, user, "node.removed", name, launched=launched, at_once=at_once)
    return launched


def drain_node(services: Services, user: User, name: str, *, draining: bool) -> None:
    """Let a node take nothing new and finish what it has, or take again."""
    must_be_admin(user)
    if services.store.drain_node(name, draining=draining):
        note(services, user, "node.drained" if draining else "node.resumed", name)


def renew_node(services: Services, user: User, name: str, hours: float | None) -> str:
    """Let the lease of a machine end `hours` from now; None: let its idle time begin anew.

    Returns:
        What went wrong beside it, or nothing.
    """
    must_be_admin(user)
    if hours is None:
        services.store.restart_idle(name, services.store.now())
        trouble = ""
    else:
        trouble = services.runtime.renew_machine(name, hours)
    note(services, user, "node.renewed", name, hours=hours)
    return trouble
