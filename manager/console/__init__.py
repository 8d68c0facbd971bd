"""The console: what the manager knows and does, in a browser. One module a page, one template each.

It shows the picture of `feed`, asks `manager.actions` to do things, as the API does, and never
touches SQL or AMQP. `visitor` says who looks, `pages` makes a page, `live` tells pages to renew.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Match

from manager.api.problems import STATUS, note_refusal
from manager.console import (
    account,
    activity,
    archive,
    definitions,
    letters,
    live,
    login,
    machinery,
    new,
    nodes,
    operations,
    streams,
    tail,
    topology,
    trying,
    users,
    versions,
)
from manager.console.feed import Feed
from manager.console.pages import HEADERS, STATIC, page
from manager.console.visitor import Console, NotLoggedInError, login_place, visitor
from manager.services import Services
from manager.sessions import Sessions
from streams.errors import StreamsError

__all__ = ["create_console"]

_PLACES = (
    login,
    live,
    topology,
    streams,
    tail,
    archive,
    operations,
    letters,
    trying,
    definitions,
    versions,
    new,
    activity,
    nodes,
    machinery,
    users,
    account,
)


def create_console(services: Services) -> FastAPI:
    """Return the console on top of `services`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.console = Console(services, Feed(services), Sessions(services.store))
    for place in _PLACES:
        app.include_router(place.router)
    app.mount("/static", _Fresh(directory=STATIC))
    app.add_exception_handler(NotLoggedInError, _log_in_first)
    app.add_exception_handler(StreamsError, _expected)
    app.add_exception_handler(RequestValidationError, _mistyped)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)
    return app


class _Fresh(StaticFiles):
    """Files that a browser asks for anew each time; what it has already isn't sent again."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Return a file, or that it is the same."""
        answer = super().file_response(*args, **options)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


async def _log_in_first(request: Request, _: Exception) -> Response:
    if "hx-request" in request.headers or request.url.path.endswith("/live/"):
        # the whole page is loaded anew, and so leads to the login
        headers = {**HEADERS, "HX-Refresh": "true"}
        return PlainTextResponse("log in first", HTTPStatus.UNAUTHORIZED, headers)
    return RedirectResponse(login_place(request), HTTPStatus.SEE_OTHER, HEADERS)


def _expected(request: Request, error: Exception) -> Response:
    note_refusal(request, error)
    status = next((s for kind, s in STATUS if isinstance(error, kind)), None)
    if status is None:
        raise error
    return _problem(request, status, getattr(error, "problems", [str(error)]))


def _mistyped(request: Request, _: Exception) -> Response:
    return _problem(request, HTTPStatus.NOT_FOUND, ["there is no such page"])


def _http(request: Request, error: Exception) -> Response:
    status = HTTPStatus(getattr(error, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR))
    text = getattr(error, "detail", "")
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        if request.method == "GET":
            # a form's address, asked for anew: the form is on a page above it
            return RedirectResponse(quote(_above(request)), HTTPStatus.SEE_OTHER, HEADERS)
        text = f"{request.method} isn't possible here"
    if status is HTTPStatus.NOT_FOUND:
        text = "there is no such page"
    return _problem(request, status, [text])


def _bug(request: Request, error: Exception) -> Response:
    text = f"a bug in the manager ({type(error).__name__}): its log has the traceback"
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, [text])


def _problem(request: Request, status: HTTPStatus, problems: list[str]) -> Response:
    try:
        person = visitor(request, request.app.state.console)
    except StreamsError:
        person = None
    told = {"title": status.phrase, "problems": problems, "above": _above(request)}
    return page(request, "problem", person, status, **told)


def _above(request: Request) -> str:
    """Return the nearest address above that shows a page."""
    path = request.url.path.rstrip("/")
    while path := path.rpartition("/")[0]:
        scope = {**request.scope, "path": f"{path}/", "method": "GET"}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            return f"{path}/"
    return "/"
