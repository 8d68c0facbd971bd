"""Who asks, and what they may do."""

import base64
import binascii
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from manager.errors import ForbiddenError, UnauthorizedError
from manager.model import User
from manager.roles import must_be_admin, must_make
from manager.services import Services

_HOW = "log in with HTTP basic authentication or 'Authorization: Bearer TOKEN'"


def services_of(request: Request) -> Services:
    """Return what the API stands on."""
    services: Services = request.app.state.services
    return services


Parts = Annotated[Services, Depends(services_of)]


def must_be_ours(request: Request) -> None:
    """Do nothing if no other site sent it; browsers say who did, and send logins along.

    Raises:
        ForbiddenError: another site sent it.
    """
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForbiddenError("this came from another site: nothing was done")


def current_user(request: Request, services: Parts) -> User:
    """Return who asks.

    Raises:
        ForbiddenError: another site does.
        UnauthorizedError: nobody we know.
        ThrottledError: too many wrong passwords.
    """
    must_be_ours(request)
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "basic":
            address = request.client.host if request.client else ""
            return services.users.log_in(*_name_and_password(rest.strip()), address)
        case "bearer":
            return services.users.by_token(rest.strip())
        case "":
            raise UnauthorizedError(f"no login: {_HOW}")
        case _:
            raise UnauthorizedError(f"another kind of login: {_HOW}")


Viewer = Annotated[User, Depends(current_user)]


def current_maker(user: Viewer) -> User:
    """Return who asks, if they may make things; that is said before what is wrong with a body."""
    must_make(user)
    return user


def current_admin(user: Viewer) -> User:
    """Return who asks, if they are an admin."""
    must_be_admin(user)
    return user


Maker = Annotated[User, Depends(current_maker)]
Admin = Annotated[User, Depends(current_admin)]


def _name_and_password(encoded: str) -> tuple[str, str]:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UnauthorizedError(f"the login can't be read: {_HOW}") from None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # what older clients send
    name, _, password = text.partition(":")
    return name, password
