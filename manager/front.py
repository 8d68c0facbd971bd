"""One port for two: programs ask the API, people look at the console."""

from starlette.types import ASGIApp, Receive, Scope, Send

from manager.api import create_app
from manager.console import create_console
from manager.services import Services

_OF_PROGRAMS = ("/api", "/healthz", "/readyz", "/metrics")


def create_front(services: Services) -> ASGIApp:
    """Return API and console on top of `services`."""
    api, console = create_app(services), create_console(services)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        of_programs = scope.get("path", "").startswith(_OF_PROGRAMS)
        await (api if of_programs else console)(scope, receive, send)

    return front
