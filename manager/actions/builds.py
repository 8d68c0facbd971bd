"""Builds of images: whoever builds one tells of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from manager.actions.noting import note
from manager.builds import BEGUN, ENDED, STEP, Build, builds_of
from manager.errors import ConflictError, NotFoundError
from manager.model import User
from manager.roles import must_make, must_own
from manager.services import Services


def begin_build(
    services: Services, user: User, name: str, *, appliance: str, cloud: str, lease_hours: float
) -> Build:
    """Note that somebody's desk began to build an image."""
    must_make(user)
    if services.store.events_of("build", [name]):
        raise ConflictError(f"build {name!r} exists already: give it another name")
    note(services, user, BEGUN, name, appliance=appliance, cloud=cloud, lease_hours=lease_hours)
    return find_build(services, name)


def tell_step(services: Services, user: User, name: str, told: Mapping[str, Any]) -> Build:
    """Note that a step of a build begins, or how it ended."""
    return _told(services, user, name, STEP, told)


def end_build(services: Services, user: User, name: str, told: Mapping[str, Any]) -> Build:
    """Note how a build ended."""
    return _told(services, user, name, ENDED, told)


def find_build(services: Services, name: str) -> Build:
    """Return a build.

    Raises:
        NotFoundError: nobody told of it.
    """
    found = builds_of(services.store.events_of("build", [name]), datetime.now(UTC))
    if not found:
        raise NotFoundError(f"there is no build {name!r}")
    return found[0]


def _told(services: Services, user: User, name: str, event: str, told: Mapping[str, Any]) -> Build:
    build = find_build(services, name)
    must_own(user, build.by, f"build {name!r}")
    if build.ended_at is not None:
        raise ConflictError(f"build {name!r} has ended: {build.state.value}")
    note(services, user, event, name, **told)
    return find_build(services, name)
