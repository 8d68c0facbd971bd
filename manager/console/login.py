"""Logging in and out."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from manager.console.pages import HEADERS, page
from manager.console.visitor import Console, Fields, Form, Here, Person, cookie_name
from manager.errors import ThrottledError, UnauthorizedError
from manager.model import User
from manager.sessions import LONGEST

router = APIRouter()


@router.get("/login/")
def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 - as the query calls it
    """Show the form."""
    return page(request, "login", None, next=_ours(next), problem="", name="")


@router.post("/login/")
def log_in(request: Request, here: Here, fields: Fields) -> Response:
    """Begin a session, or say what is wrong."""
    name, place = fields.get("name", ""), _ours(fields.get("next", "/"))
    address = request.client.host if request.client else ""
    try:
        user = here.services.users.log_in(name, fields.get("password", ""), address)
    except ThrottledError as error:
        return _again(request, HTTPStatus.TOO_MANY_REQUESTS, str(error), name, place)
    except UnauthorizedError as error:
        return _again(request, HTTPStatus.UNAUTHORIZED, str(error), name, place)
    answer = RedirectResponse(place, HTTPStatus.SEE_OTHER, HEADERS)
    begin(request, here, user, answer)
    return answer


@router.post("/logout/")
def log_out(request: Request, here: Here, person: Person, _: Form) -> Response:
    """End the session."""
    here.sessions.close(person.cookie)
    answer = RedirectResponse("/login/", HTTPStatus.SEE_OTHER, HEADERS)
    # browsers heed it only with what they want of such a name
    answer.delete_cookie(cookie_name(request), secure=request.url.scheme == "https")
    return answer


def begin(request: Request, here: Console, user: User, answer: Response) -> None:
    """Give the browser that asks a session of `user`, with its answer."""
    answer.set_cookie(
        cookie_name(request),
        here.sessions.open(user),
        max_age=int(LONGEST.total_seconds()),
        httponly=True,
        samesite="lax",
        # behind a proxy that ends TLS only the browser knows that it is there
        secure="https" in {request.url.scheme, request.headers.get("origin", "").partition(":")[0]},
    )


def _again(request: Request, status: HTTPStatus, problem: str, name: str, place: str) -> Response:
    return page(request, "login", None, status, next=place, problem=problem, name=name)


def _ours(place: str) -> str:
    """Return a place of this site; a foreign one becomes the first page."""
    ours = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if ours else "/"
