"""One port for two: programs ask the API, people look at the console."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manager.api import create_app
from manager.console import create_console
from manager.services import Services

_BY_TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")
_OF_PROGRAMS = ("/api", "/healthz", "/readyz", "/metrics")


def create_front(services: Services) -> ASGIApp:
    """Return API and console on top of `services`."""
    api, console = create_app(services), create_console(services)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("scheme") == "https":
            send = _for_https(send)
        of_programs = scope.get("path", "").startswith(_OF_PROGRAMS)
        await (api if of_programs else console)(scope, receive, send)

    return front


def _for_https(send: Send) -> Send:
    """Let browsers remember that this host is reached by TLS only."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], _BY_TLS_ONLY]
        await send(message)

    return sending
