"""A database that can't do its work: said with 503, nothing half-written, over by itself."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest

from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.databases import PostgresServer, create_database
from tests.manager.serving import Api, serving

Trouble = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    """A database of somebody who is no superuser: those pass every limit."""
    url = create_database(postgres_server.address)
    name = _name(url)
    with _superuser(postgres_server) as connection:
        connection.execute(f"CREATE ROLE of_{name} LOGIN")
        connection.execute(f"ALTER DATABASE {name} OWNER TO of_{name}")
    return url.replace("streamboss@", f"of_{name}@")


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def _superuser(server: PostgresServer) -> psycopg.Connection:
    address = f"user=streamboss dbname=postgres {server.address.replace('&', ' ')}"
    return psycopg.connect(address, autocommit=True)


def _end_connections(connection: psycopg.Connection, name: str) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
    )


@contextmanager
def crashed(server: PostgresServer, _url: str) -> Iterator[None]:
    """The server is gone, and comes back."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _altered(server: PostgresServer, url: str, bad: str, good: str) -> Iterator[None]:
    name = _name(url)
    with _superuser(server) as connection:
        connection.execute(f"ALTER DATABASE {name} {bad}")
        _end_connections(connection, name)
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} {good}")
            _end_connections(connection, name)


def failed_over(server: PostgresServer, url: str) -> AbstractContextManager[None]:
    """All connections end, and who answers now is a standby, until it is promoted."""
    option = "default_transaction_read_only"
    return _altered(server, url, f"SET {option} = on", f"RESET {option}")


def crowded(server: PostgresServer, url: str) -> AbstractContextManager[None]:
    """Others have all connections."""
    return _altered(server, url, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(crashed, "connection"), (failed_over, "read-only"), (crowded, "too many connections")],
)
def test_while_postgresql_fails_all_is_refused_and_then_goes_on(
    settings: Settings,
    postgres_server: PostgresServer,
    database: str,
    trouble: Callable[[PostgresServer, str], AbstractContextManager[None]],
    said: str,
) -> None:
    with serving(settings, database) as api:
        _goes_through_it(api, lambda: trouble(postgres_server, database), said)


def test_while_sqlite_is_locked_changes_are_refused_and_then_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "manager.db"

    @contextmanager
    def locked() -> Iterator[None]:
        connection = sqlite3.connect(file, isolation_level=None, timeout=10)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
        connection.close()

    with serving(settings, f"sqlite:///{file}") as api:
        _goes_through_it(api, locked, "locked")


def _goes_through_it(api: Api, trouble: Trouble, said: str) -> None:
    # Given a manager at work
    assert api.post("/api/streams/", {"name": "before"}).status_code == 201
    with trouble():
        # When something is to be changed, then it is refused, clearly, and the rest lives
        answer = api.post("/api/streams/", {"name": "refused"})
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert answer.headers["content-type"] == "application/problem+json"
        (problem,) = answer.json()["problems"]
        assert problem.startswith("database ")
        assert said in problem
        assert api.get("/healthz").status_code == 200
    # and afterwards it works again by itself, with nothing left of what was refused
    eventually(lambda: api.get("/api/streams/before/").status_code == 200, within_s=30)
    assert api.get("/api/streams/refused/").status_code == 404
    eventually(
        lambda: api.post("/api/streams/", {"name": "refused"}).status_code == 201, within_s=30
    )
    eventually(lambda: api.get("/readyz").status_code == 200, within_s=30)
