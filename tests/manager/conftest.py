"""A database of each kind, and managers that serve on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from manager.store import Store
from streams.settings import Settings
from tests.manager.databases import PostgresServer, create_database, running_postgres
from tests.manager.serving import Api, serving


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's one PostgreSQL. Fails, never skips, where it isn't installed."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """How a URL reaches it."""
    return postgres_server.address


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """A fresh database of the test's own."""
    return create_database(postgres)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file of the test's own, not yet there."""
    return f"sqlite:///{tmp_path}/manager.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on each kind of database."""
    opened = Store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def api(settings: Settings, sqlite_url: str) -> Iterator[Api]:
    """A manager that serves, on SQLite and the test's own vhost."""
    with serving(settings, sqlite_url) as served:
        yield served


@pytest.fixture
def api_everywhere(settings: Settings, database_url: str) -> Iterator[Api]:
    """The same on each kind of database."""
    with serving(settings, database_url) as served:
        yield served
