"""A manager that serves HTTP within the test's own process: real store, real runtime, real HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from manager.app import address, listening, server_of
from manager.client import ManagerClient
from manager.machines.ground import Desk
from manager.model import Role
from manager.runtime import Runtime
from manager.services import Services
from manager.store import Store
from manager.users import Users
from streams.settings import Settings

ADMIN = ("boss", "the boss's secret")


@dataclass(frozen=True)
class Api:
    """A manager's address, and what is behind it."""

    url: str
    services: Services
    settings: Settings
    http: httpx.Client

    def request(
        self, method: str, path: str, body: Any = None, *, user: Any = ADMIN, **options: Any
    ) -> httpx.Response:
        """Send one request as `user` and return the answer."""
        return self.http.request(method, path, json=body, auth=user, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, body, **options)

    def add_user(self, name: str, role: Role = Role.USER) -> tuple[str, str]:
        """Add a user and return the login."""
        self.services.users.add(name, f"{name}'s secret", role)
        return name, f"{name}'s secret"

    def client(self, login: tuple[str, str] = ADMIN) -> ManagerClient:
        """Return a client for this manager."""
        user, password = login
        return ManagerClient(
            replace(self.settings, manager_url=self.url, user=user, password=password)
        )


@contextmanager
def serving(settings: Settings, database_url: str, desk: Desk | None = None) -> Iterator[Api]:
    """Serve for the length of a `with` block; machines are launched from a `desk`."""
    store = Store(database_url)
    runtime = Runtime(settings, store, desk)
    services = Services(store, Users(store, first=ADMIN), runtime)
    server = server_of(services)
    runtime.start()
    with (
        listening("127.0.0.1", 0) as listener,
        httpx.Client(base_url=address(listener), trust_env=False, timeout=30) as http,
    ):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Api(address(listener), services, settings, http)
        finally:
            server.should_exit = True
            thread.join(20)
            runtime.stop()
            store.close()
