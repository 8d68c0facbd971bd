"""`/api/users/`: for admins; everybody may see and renew their own login."""

from fastapi import APIRouter
from fastapi.responses import Response

from manager.api import views
from manager.api.answers import Answer, Asked, made
from manager.api.bodies import Body, UserBody, UserPatch, parse, takes
from manager.api.logins import Admin, Parts, Viewer, current_admin
from manager.api.paths import Name
from manager.model import User

router = APIRouter(prefix="/api/users", tags=["users"])


@router.get("/")
def list_users(_: Admin, services: Parts, asked: Asked) -> Answer:
    """List the users."""
    page = services.store.page_users(limit=asked.limit, offset=asked.offset)
    return asked.answer(page, views.user)


@router.post("/", status_code=201, openapi_extra=takes(UserBody))
def create_user(_: Admin, services: Parts, raw: Body) -> Answer:
    """Create a user; 200 if exactly that one exists already."""
    body = parse(UserBody, raw)
    user, created = services.users.add(body.name, body.password, body.role)
    return made(views.user(user), created=created)


@router.get("/{name}/")
def get_user(name: Name, asking: Viewer, services: Parts) -> Answer:
    """Show a user."""
    _self_or_admin(asking, name)
    return Answer(views.user(services.store.get_user(name)))


@router.patch("/{name}/", openapi_extra=takes(UserPatch))
def change_user(name: Name, asking: Viewer, services: Parts, raw: Body) -> Answer:
    """Give a user another password, which ends all their tokens; or, as an admin, another role."""
    body = parse(UserPatch, raw)
    _self_or_admin(asking, name if body.role is None else "")
    return Answer(views.user(services.users.change(name, password=body.password, role=body.role)))


@router.delete("/{name}/", status_code=204, response_class=Response)
def delete_user(name: Name, admin: Admin, services: Parts) -> None:
    """Remove a user; what they owned becomes yours."""
    services.store.delete_user(name, heir=admin.name)


@router.post("/{name}/tokens/", status_code=201)
def create_token(name: Name, asking: Viewer, services: Parts) -> Answer:
    """Make a token for `Authorization: Bearer`; it is shown this once."""
    _self_or_admin(asking, name)
    return Answer({"token": services.users.new_token(name)}, status_code=201)


def _self_or_admin(asking: User, name: str) -> None:
    if asking.name != name:
        current_admin(asking)
