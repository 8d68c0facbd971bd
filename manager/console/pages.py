"""Pages: a template, what it shows, and headers that let nothing foreign in."""

import shlex
import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from manager.api.problems import STATUS
from manager.console import numbers
from manager.console.feed import Look
from manager.console.forms import refused
from manager.console.shown import as_json, shown, shown_letter, visible
from manager.console.visitor import Console, Visitor
from streams.errors import StreamsError

_HERE = Path(__file__).resolve().parent
STATIC = _HERE / "static"
_SAID = "streamboss-said"
_SAID_S = 30
#: What pages may load and send: ours alone. Pictures of messages are data in the page.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["now_ms"] = lambda: int(1000 * time.time())
    made.filters.update(
        count=numbers.count,
        rate=numbers.rate,
        size=numbers.size,
        duration=numbers.duration,
        ago=numbers.ago,
        ahead=numbers.ahead,
        percent=numbers.percent,
        price=numbers.price,
        exact=numbers.exact,
        visible=visible,
        # what is to be typed into a shell must do no more there than it seems to
        quoted=lambda text: shlex.quote(visible(text)),
        shown=shown,
        shown_letter=shown_letter,
        moment=numbers.moment,
        part=lambda text: quote(text, safe=""),
        pretty=as_json,
        twice=lambda value: (value, value),
    )
    return made


_TEMPLATES = _environment()


def page(
    request: Request,
    template: str,
    person: Visitor | None,
    status: HTTPStatus = HTTPStatus.OK,
    **values: Any,
) -> HTMLResponse:
    """Return a page; to a page that renews itself only its block `live`."""
    said = unquote(request.cookies.get(_SAID, ""))
    look = values.pop("look", None) or Look()
    values = {"person": person, "path": request.url.path, "said": said, "look": look, **values}
    chosen = _TEMPLATES.get_template(f"{template}.html")
    if "hx-request" in request.headers:
        text = "".join(chosen.blocks["live"](chosen.new_context(values)))
    else:
        text = chosen.render(values)
    answer = HTMLResponse(text, status, HEADERS)
    if said and "hx-request" not in request.headers:
        answer.delete_cookie(_SAID)
    return answer


def again(
    request: Request,
    template: str,
    person: Visitor,
    *,
    form: Mapping[str, str],
    error: StreamsError,
    fields: Collection[str],
    **values: Any,
) -> HTMLResponse:
    """Return a page with the form that was refused: as it was sent, what is wrong beside it."""
    status = next(s for kind, s in STATUS if isinstance(error, kind))
    filled = refused(form, error, fields)
    return page(request, template, person, status, filled=filled, **values)


def ask(
    request: Request,
    person: Visitor,
    *,
    question: str,
    loss: str,
    deed: str,
    command: str,
    back: str = "../",
) -> HTMLResponse:
    """Return a page that asks before `deed`: a form for its own address, and the way back."""
    told: dict[str, Any] = {"question": question, "loss": loss, "deed": deed, "command": command}
    return page(request, "ask", person, back=back, **told)


def done(here: Console, place: str, said: str) -> RedirectResponse:
    """Lead back to a page after something was done, and say what."""
    here.feed.renew()
    answer = RedirectResponse(place, HTTPStatus.SEE_OTHER, HEADERS)
    answer.set_cookie(_SAID, quote(said), max_age=_SAID_S, httponly=True, samesite="lax")
    return answer


def fragment(template: str, **values: Any) -> str:
    """Return a piece of a page."""
    return _TEMPLATES.get_template(f"{template}.html").render(values)
