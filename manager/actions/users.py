"""Users, for admins; and each user's own password and tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from manager.actions.noting import note
from manager.errors import InvalidError
from manager.model import Role, User
from manager.people import StreamRights
from manager.roles import must_be, must_be_admin
from manager.services import Services


def add_user(
    services: Services, user: User, name: str, password: str, role: Role
) -> tuple[User, bool]:
    """Create a user; return it, and False if exactly that one existed already."""
    must_be_admin(user)
    added, created = services.users.add(name, password, role)
    if created:
        note(services, user, "user.added", name, role=role.value)
    return added, created


def change_user(
    services: Services,
    user: User,
    name: str,
    *,
    password: str | None = None,
    role: Role | None = None,
    buckets: Sequence[str] | None = None,
    current_password: str | None = None,
) -> User:
    """Give a user another password, which ends their tokens and sessions; or, as an admin, more.

    That is another role, and other buckets than those that their operations could read so far.
    For another password of one's own one has to know the present one: who finds a token, or a
    browser that is logged in, doesn't.
    """
    must_be(user, name)
    if password is not None and user.name == name:
        services.users.must_know(name, current_password)
    if role is not None or buckets is not None:
        must_be_admin(user)
    changed = services.users.change(name, password=password, role=role, buckets=buckets)
    given = {"password": password, "role": role, "buckets": buckets}
    what = [field for field, value in given.items() if value is not None]
    told = {"role": changed.role.value, "buckets": list(changed.buckets)}
    note(services, user, "user.changed", name, changed=what, **told)
    services.runtime.poke()
    return changed


def remove_user(services: Services, user: User, name: str) -> None:
    """Remove a user; what they owned becomes `user`'s."""
    must_be_admin(user)
    services.store.get_user(name)
    if name != user.name:  # which the store refuses
        services.runtime.broker.people.forbid(name)
    services.store.delete_user(name, heir=user.name)
    note(services, user, "user.removed", name)


def allow_streams(
    services: Services, user: User, name: str, rights: StreamRights
) -> Mapping[str, Any]:
    """Let a user do this on the broker, and no more; return how they connect, shown this once.

    Raises:
        InvalidError: streams that don't exist; names each.
    """
    must_be_admin(user)
    services.store.get_user(name)
    asked = {*rights.publish, *rights.consume}
    if unknown := sorted(s for s in asked if services.store.find_stream(s) is None):
        raise InvalidError([f"there is no stream {stream!r}" for stream in unknown])
    joining = services.runtime.broker.people.allow(name, rights)
    publish, consume = list(rights.publish), list(rights.consume)
    note(services, user, "user.streams-allowed", name, publish=publish, consume=consume)
    return joining


def forbid_streams(services: Services, user: User, name: str) -> None:
    """Take a user's login at the broker away, which ends its connections."""
    must_be_admin(user)
    services.store.get_user(name)
    services.runtime.broker.people.forbid(name)
    note(services, user, "user.streams-forbidden", name)


def create_token(services: Services, user: User, name: str, label: str = "") -> str:
    """Return a new token that logs a user in; it is shown this once."""
    must_be(user, name)
    token = services.users.new_token(name, label)
    note(services, user, "token.created", name, label=label)
    return token


def revoke_token(services: Services, user: User, name: str, token: str) -> None:
    """End a user's token, by its id."""
    must_be(user, name)
    services.store.delete_token(name, token)
    note(services, user, "token.revoked", name, token=token)
