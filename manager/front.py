"""One port for two: programs ask the API, people look at the console."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manager.api import create_app
from manager.console import create_console
from manager.services import Services

_HSTS = b"strict-transport-security"
_GUARDS = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}
_OF_PROGRAMS = ("/api", "/healthz", "/readyz", "/metrics")


def create_front(services: Services) -> ASGIApp:
    """Return API and console on top of `services`."""
    api, console = create_app(services), create_console(services)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _guarded(send, https=scope.get("scheme") == "https")
        of_programs = scope.get("path", "").startswith(_OF_PROGRAMS)
        await (api if of_programs else console)(scope, receive, send)

    return front


def _guarded(send: Send, *, https: bool) -> Send:
    """Let browsers do nothing with an answer that says no more itself: it is no page of ours."""
    always = {**_GUARDS, **({_HSTS: b"max-age=31536000"} if https else {})}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = list(message["headers"])
            known = {name.lower() for name, _ in said}
            message["headers"] = said + [g for g in always.items() if g[0] not in known]
        await send(message)

    return sending
