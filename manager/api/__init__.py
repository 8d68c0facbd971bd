"""The manager's HTTP API. Folder = URL: each module serves the path of its name.

Handlers are plain functions of a few lines that catch nothing: `problems` turns errors into
answers. Nothing here touches SQL or AMQP.
"""

from fastapi import FastAPI

from manager.api import (
    activity,
    archives,
    builds,
    clouds,
    health,
    nodes,
    openapi,
    operations,
    problems,
    process_definition,
    replays,
    streams,
    subscriptions,
    users,
)
from manager.api.answers import Answer
from manager.api.slashes import WithTrailingSlash
from manager.services import Services

__all__ = ["create_app"]

_PLACES = (
    process_definition,
    streams,
    archives,
    replays,
    operations,
    nodes,
    clouds,
    builds,
    users,
    subscriptions,
    activity,
    health,
)


def create_app(services: Services) -> FastAPI:
    """Return the API on top of `services`."""
    app = FastAPI(
        title="Streamboss",
        openapi_url=None,  # served by `openapi`, which knows request bodies and logins
        docs_url=None,  # these pages load their scripts from the internet
        redoc_url=None,
        default_response_class=Answer,
    )
    app.state.services = services
    problems.install(app)
    routers = [module.router for module in _PLACES]
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    openapi.install(app)
    app.add_middleware(WithTrailingSlash)
    return app
