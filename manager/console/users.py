"""The table of users, a form for a new one, and the end of one: for admins."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager.actions import users as actions
from manager.api.bodies import UserBody
from manager.api.paths import Name
from manager.api.reading import checked
from manager.console.forms import MENDABLE, Filled, new_password
from manager.console.pages import again, ask, done, page
from manager.console.tables import AskedTable, rows
from manager.console.visitor import Form, Here, Person
from manager.model import Role
from manager.roles import must_be_admin

router = APIRouter()
_FIELDS = ("name", "role", "password")
_ROLES = [(role.value, role.value) for role in Role]
#: So many are looked through.
_MOST = 10_000
_ORDERS = {"name": lambda u: u.name, "role": lambda u: u.role.value}


@router.get("/users/")
def show_all(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the table."""
    must_be_admin(person.user)
    found = here.services.store.page_users(limit=_MOST, offset=0).items
    table = rows(found, asked, text=lambda u: f"{u.name} {u.role.value}", orders=_ORDERS)
    return page(request, "users", person, look=here.feed.look(), table=table)


@router.get("/new/user/")
def ask_new(request: Request, person: Person) -> Response:
    """Show the form for a user."""
    must_be_admin(person.user)
    return page(request, "new_user", person, filled=Filled({"role": "user"}), roles=_ROLES)


@router.post("/new/user/")
def create(request: Request, here: Here, person: Person, form: Form) -> Response:
    """Add a user."""
    must_be_admin(person.user)
    values = {
        **{field: form.get(field, "") for field in _FIELDS},
        "name": form.get("name", "").strip(),
    }
    try:
        body = checked(UserBody, {**values, "password": new_password(form)})
        _, created = actions.add_user(
            here.services, person.user, body.name, body.password, body.role
        )
    except MENDABLE as error:
        typed = {**values, "password": ""}
        return again(
            request, "new_user", person, form=typed, error=error, fields=_FIELDS, roles=_ROLES
        )
    said = f"user {body.name} {'created' if created else 'exists already'}"
    return done(here, f"/users/{body.name}/", said)


@router.get("/users/{name}/remove/")
def ask_removal(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Ask before a user is removed."""
    must_be_admin(person.user)
    here.services.store.get_user(name)
    return ask(
        request,
        person,
        question=f"Remove user {name}?",
        loss="Their sessions, tokens and login at the broker end. What they own becomes yours.",
        deed="Remove",
        command=f"streamboss user remove {name}",
    )


@router.post("/users/{name}/remove/")
def remove(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Remove a user."""
    actions.remove_user(here.services, person.user, name)
    return done(here, "/users/", f"user {name} removed; what they owned is yours")
