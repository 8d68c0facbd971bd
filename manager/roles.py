"""What a user may do, by role and by what is theirs. Pure."""

from manager.errors import ForbiddenError
from manager.model import Role, User

#: Letters that a password has which somebody types, at least. What a program makes is its affair.
SHORTEST_PASSWORD = 12


def must_make(user: User) -> None:
    """Do nothing if `user` may make things.

    Raises:
        ForbiddenError: they may only look.
    """
    if user.role is Role.VIEWER:
        raise ForbiddenError(f"user {user.name!r} may only look (role 'viewer')")


def must_be_admin(user: User) -> None:
    """Do nothing if `user` is an admin.

    Raises:
        ForbiddenError: they aren't.
    """
    if user.role is not Role.ADMIN:
        raise ForbiddenError(
            f"only admins do this: user {user.name!r} has role {user.role.value!r}"
        )


def must_be(user: User, name: str) -> None:
    """Do nothing if `user` is that one, or an admin.

    Raises:
        ForbiddenError: they aren't.
    """
    if user.name != name:
        must_be_admin(user)


def may_own(user: User, owner: str) -> bool:
    """Say whether `user` may change what `owner` made."""
    return user.role is Role.ADMIN or (user.role is not Role.VIEWER and user.name == owner)


def must_own(user: User, owner: str, what: str) -> None:
    """Do nothing if `user` may change what `owner` made.

    Raises:
        ForbiddenError: they may not.
    """
    must_make(user)
    if not may_own(user, owner):
        whose = f"belongs to {owner!r}" if owner else "is the manager's own"
        raise ForbiddenError(f"{what} {whose}: only its owner and admins change it")


def sees(user: User) -> str | None:
    """Return whose definitions `user` sees; None is everybody's."""
    return None if user.role is Role.ADMIN else user.name
