"""Every path under `/api/` ends in a slash; one typed without it means the same."""

from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = "/api/"
_FILES = frozenset({"/api/openapi.json"})


class WithTrailingSlash:
    """Adds the slash instead of redirecting: a redirected POST loses its body in many clients."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if path.startswith(_PREFIX) and not path.endswith("/") and path not in _FILES:
            scope = {**scope, "path": f"{path}/"}
        await self._app(scope, receive, send)
