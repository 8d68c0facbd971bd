"""Who looks at a page, and the forms that they send."""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import Depends, Request

from manager.api.logins import must_be_ours
from manager.api.reading import whole_body
from manager.console.feed import Feed
from manager.errors import ForbiddenError
from manager.model import Role, User
from manager.roles import may_own
from manager.services import Services
from manager.sessions import Sessions, form_word, is_form_word
from streams.errors import StreamsError


class NotLoggedInError(StreamsError):
    """Nobody is logged in: the login page comes first."""


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages stand on."""

    services: Services
    feed: Feed
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a session."""

    user: User
    cookie: str = field(repr=False)

    @property
    def word(self) -> str:
        """What each form carries."""
        return form_word(self.cookie)

    @property
    def makes(self) -> bool:
        """Whether they may make things."""
        return self.user.role is not Role.VIEWER

    def owns(self, owner: str) -> bool:
        """Say whether they may change what `owner` made."""
        return may_own(self.user, owner)


def console_of(request: Request) -> Console:
    """Return what the pages stand on."""
    console: Console = request.app.state.console
    return console


Here = Annotated[Console, Depends(console_of)]


def cookie_name(request: Request) -> str:
    """Return the session's cookie: browsers share cookies between ports, and so would stacks.

    By TLS its name is one that no other host of the domain, and nobody in the clear, can set.
    """
    host = "__Host-" if request.url.scheme == "https" else ""
    return f"{host}streamboss-{request.url.port or 0}"


def visitor(request: Request, here: Here) -> Visitor:
    """Return who looks.

    Raises:
        NotLoggedInError: nobody we know.
    """
    cookie = request.cookies.get(cookie_name(request), "")
    user = here.sessions.find(cookie) if cookie else None
    if user is None:
        raise NotLoggedInError("log in first")
    return Visitor(user, cookie)


Person = Annotated[Visitor, Depends(visitor)]


async def fields_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that came from a page of ours.

    Raises:
        HTTPException: it is too big, or too slow.
        ForbiddenError: another site sent it.
    """
    must_be_ours(request)
    raw = await whole_body(request)
    found = parse_qs(raw.decode(errors="replace"), keep_blank_values=True, max_num_fields=100)
    return {name: values[-1] for name, values in found.items()}


Fields = Annotated[dict[str, str], Depends(fields_of)]


def checked(person: Person, fields: Fields) -> dict[str, str]:
    """Return the fields of a form of this very session.

    Raises:
        ForbiddenError: another session's, or another site's.
    """
    if not is_form_word(person.cookie, fields.get("word", "")):
        raise ForbiddenError("this page was older than your login: go back, reload it, try again")
    return fields


Form = Annotated[dict[str, str], Depends(checked)]


def login_place(request: Request) -> str:
    """Return where to log in, and to come back from."""
    path = request.url.path
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login/?next={quote(path + query)}" if request.method == "GET" else "/login/"
