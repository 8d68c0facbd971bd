"""`/api/users/`: for admins; everybody may see and renew their own login."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from manager.actions import users as actions
from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import StreamRightsBody, TokenBody, UserBody, UserPatch
from manager.api.logins import Admin, Parts, Viewer
from manager.api.paths import Name
from manager.api.reading import Body, parse, takes
from manager.people import StreamRights
from manager.roles import must_be

router = APIRouter(prefix="/api/users", tags=["users"])
TokenId = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]


@router.get("/")
def list_users(_: Admin, services: Parts, asked: Asked) -> Answer:
    """List the users."""
    page = services.store.page_users(limit=asked.limit, offset=asked.offset)
    return asked.answer(page, views.user)


@router.post("/", status_code=201, openapi_extra=takes(UserBody))
def create_user(admin: Admin, services: Parts, raw: Body) -> Answer:
    """Create a user; 200 if exactly that one exists already."""
    body = parse(UserBody, raw)
    user, created = actions.add_user(services, admin, body.name, body.password, body.role)
    return made(views.user(user), created=created)


@router.get("/{name}/")
def get_user(name: Name, asking: Viewer, services: Parts) -> Answer:
    """Show a user."""
    must_be(asking, name)
    return Answer(views.user(services.store.get_user(name)))


@router.patch("/{name}/", openapi_extra=takes(UserPatch))
def change_user(name: Name, asking: Viewer, services: Parts, raw: Body) -> Answer:
    """Give a user another password, which ends all their tokens; as an admin, role or buckets."""
    body = parse(UserPatch, raw)
    changed = actions.change_user(services, asking, name, **dict(body))
    return Answer(views.user(changed))


@router.delete("/{name}/", status_code=204, response_class=Response)
def delete_user(name: Name, admin: Admin, services: Parts) -> None:
    """Remove a user; what they owned becomes yours."""
    actions.remove_user(services, admin, name)


@router.get("/{name}/tokens/")
def list_tokens(name: Name, asking: Viewer, services: Parts, asked: Asked) -> Answer:
    """List a user's tokens: what they are for, and when each was last used."""
    must_be(asking, name)
    services.store.get_user(name)
    return asked.cut(services.store.list_tokens(name), partial(views.token, name))


@router.post("/{name}/tokens/", status_code=201, openapi_extra=takes(TokenBody, required=False))
def create_token(name: Name, asking: Viewer, services: Parts, raw: Body) -> Answer:
    """Make a token for `Authorization: Bearer`; it is shown this once."""
    body = parse(TokenBody, raw or b"{}")
    token = actions.create_token(services, asking, name, body.label)
    return Answer({"token": token}, status_code=201)


@router.delete("/{name}/tokens/{token}/", status_code=204, response_class=Response)
def revoke_token(name: Name, token: TokenId, asking: Viewer, services: Parts) -> None:
    """Revoke a token by its id."""
    actions.revoke_token(services, asking, name, token)


@router.get("/{name}/streams/")
def get_streams(name: Name, asking: Viewer, services: Parts) -> Answer:
    """Show which streams a user may use on the broker by a login of their own."""
    must_be(asking, name)
    services.store.get_user(name)
    return Answer(views.stream_rights(name, services.runtime.broker.people.rights(name)))


@router.put("/{name}/streams/", openapi_extra=takes(StreamRightsBody))
def allow_streams(name: Name, admin: Admin, services: Parts, raw: Body) -> Answer:
    """Let a user use these streams, and no others: answers once with their login at the broker."""
    body = parse(StreamRightsBody, raw)
    rights = StreamRights(tuple(body.publish), tuple(body.consume))
    joining = actions.allow_streams(services, admin, name, rights)
    return Answer({**views.stream_rights(name, rights), **joining})


@router.delete("/{name}/streams/", status_code=204, response_class=Response)
def forbid_streams(name: Name, admin: Admin, services: Parts) -> None:
    """Take a user's login at the broker away, which ends its connections."""
    actions.forbid_streams(services, admin, name)
