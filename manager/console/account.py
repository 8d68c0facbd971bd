"""Somebody's login: password, tokens, and the streams they may use on the broker.

Everybody sees and renews their own, admins everybody's, as by the API.
"""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager.actions import users as actions
from manager.api.bodies import TokenBody, UserPatch
from manager.api.paths import Name
from manager.api.problems import STATUS
from manager.api.reading import checked
from manager.api.users import TokenId
from manager.console.forms import MENDABLE, Filled, new_password, refused
from manager.console.login import begin
from manager.console.pages import ask, done, page
from manager.console.visitor import Console, Form, Here, Person, Visitor
from manager.errors import ConflictError, InvalidError
from manager.model import Role
from manager.people import StreamRights
from manager.roles import must_be
from streams.errors import BrokerError, StreamsError

router = APIRouter()
_FIELDS = ("current_password", "password", "again", "label", "role", "buckets")


@router.get("/account/")
def show_own(request: Request, here: Here, person: Person) -> Response:
    """Show who looks themselves."""
    return show(request, here, person, person.user.name)


@router.get("/users/{name}/")
def show(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show a user."""
    return page(request, "account", person, **_shown(here, person, name))


@router.post("/users/{name}/password/")
def change_password(
    request: Request, here: Here, person: Person, name: Name, form: Form
) -> Response:
    """Give a user another password; the browser that did so for its own stays logged in."""
    must_be(person.user, name)
    try:
        password = checked(UserPatch, {"password": new_password(form)}).password
        if password != form.get("again"):
            raise InvalidError(["again: differs from the password above: nothing was changed"])
        user = actions.change_user(
            here.services,
            person.user,
            name,
            password=password,
            current_password=form.get("current_password"),
        )
    except MENDABLE as error:
        return _again(request, here, person, name, error)
    answer = done(here, place_of(person, name), f"{name} has another password")
    if name == person.user.name:
        begin(request, here, user, answer)
    return answer


@router.post("/users/{name}/role/")
def change_role(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Give a user another role, as an admin."""
    must_be(person.user, name)
    try:
        role = checked(UserPatch, {"role": form.get("role", "")}).role
        actions.change_user(here.services, person.user, name, role=role)
    except MENDABLE as error:
        return _again(request, here, person, name, error)
    return done(here, place_of(person, name), f"{name} has role {form['role']}")


@router.post("/users/{name}/buckets/")
def grant_buckets(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Let a user's operations read these buckets and no others, as an admin."""
    must_be(person.user, name)
    buckets = form.get("buckets", "").replace(",", " ").split()
    try:
        wanted = checked(UserPatch, {"buckets": buckets}).buckets
        actions.change_user(here.services, person.user, name, buckets=wanted)
    except MENDABLE as error:
        return _again(request, here, person, name, error)
    said = f"operations of {name} may read {', '.join(buckets) or 'no buckets'}"
    return done(here, place_of(person, name), said)


@router.post("/users/{name}/tokens/")
def make_token(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Make a token, and show it this once: the same form sent again makes no second one."""
    must_be(person.user, name)
    try:
        if form.get("newest", "") != _newest(here, name):
            raise ConflictError(
                "a token was made or revoked after this form was opened: no other one was made"
            )
        label = checked(TokenBody, {"label": form.get("label", "").strip()}).label
        token = actions.create_token(here.services, person.user, name, label)
    except MENDABLE as error:
        return _again(request, here, person, name, error)
    told = {**_shown(here, person, name), "token": token}
    return page(request, "account", person, HTTPStatus.CREATED, **told)


@router.get("/users/{name}/tokens/{token}/revoke/")
def ask_revocation(
    request: Request, here: Here, person: Person, name: Name, token: TokenId
) -> Response:
    """Ask before a token ends."""
    must_be(person.user, name)
    label = next((t.label for t in here.services.store.list_tokens(name) if t.id == token), "")
    return ask(
        request,
        person,
        question=f"Revoke {name}'s token {label or token}?",
        loss="Whatever logs in with it is refused from then on. It can't be brought back.",
        deed="Revoke",
        command=f"streamboss user revoke {name} {token}",
        back=place_of(person, name),
    )


@router.post("/users/{name}/tokens/{token}/revoke/")
def revoke_token(here: Here, person: Person, name: Name, token: TokenId, _: Form) -> Response:
    """End a token."""
    actions.revoke_token(here.services, person.user, name, token)
    return done(here, place_of(person, name), "token revoked")


def place_of(person: Visitor, name: str) -> str:
    """Return where a user is shown to whoever looks."""
    return "/account/" if name == person.user.name else f"/users/{name}/"


def _shown(here: Console, person: Visitor, name: str) -> dict[str, Any]:
    """Return what the page shows of a user."""
    must_be(person.user, name)
    user = here.services.store.get_user(name)
    return {
        "look": here.feed.look(),
        "user": user,
        "filled": Filled({"role": user.role.value, "buckets": " ".join(user.buckets)}),
        "tokens": here.services.store.list_tokens(name),
        "rights": _rights(here, name),
        "place": place_of(person, name),
        "roles": [(role.value, role.value) for role in Role],
        "token": "",
        "newest": _newest(here, name),
    }


def _newest(here: Console, name: str) -> str:
    """Return the id of a user's newest token."""
    return next((token.id for token in reversed(here.services.store.list_tokens(name))), "")


def _again(
    request: Request, here: Console, person: Visitor, name: str, error: StreamsError
) -> Response:
    """Return the page with what is wrong; of what was typed, which may be a password, nothing."""
    shown = _shown(here, person, name)
    filled = refused(shown["filled"].values, error, _FIELDS)
    status = next(s for kind, s in STATUS if isinstance(error, kind))
    return page(request, "account", person, status, **{**shown, "filled": filled})


def _rights(here: Console, name: str) -> StreamRights | None:
    """Return what somebody may do on the broker; None while it is away."""
    try:
        return here.services.runtime.broker.people.rights(name)
    except BrokerError:
        return None
