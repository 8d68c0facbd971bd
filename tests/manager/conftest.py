"""A database of each kind for the manager's tests."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from manager.store import Store
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.serving import Api, serving

_PORT = 5432  # a name for the socket only: nothing listens on the network


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The run's private PostgreSQL: how to reach it, but for the database's name."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("PostgreSQL is not installed: 'make setup' installs it")
    folder = Path(tempfile.mkdtemp(prefix="sb-pg-", dir="/tmp"))
    user = _who_may_run_it(folder)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    initdb = ["-U", "streamboss", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"]
    subprocess.run(
        [programs[-1] / "initdb", "-D", folder / "data", *initdb],
        user=user, env=environment, check=True, capture_output=True, cwd=folder,
        extra_groups=[] if user else None,
    )  # fmt: skip
    options = ["listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=100"]
    server = subprocess.Popen(
        [f"{programs[-1]}/postgres", "-D", f"{folder}/data", "-k", str(folder), "-p", str(_PORT)]
        + [word for option in options for word in ("-c", option)],
        user=user, env=environment, cwd=folder, extra_groups=[] if user else None,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually((folder / f".s.PGSQL.{_PORT}").exists, what="PostgreSQL's socket")
        eventually(lambda: _answers(folder), what="PostgreSQL answers")
        yield f"host={folder}&port={_PORT}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """A fresh database of the test's own."""
    return fresh_database(postgres)


def fresh_database(postgres: str) -> str:
    """Make an empty database and return its URL."""
    name = f"test_{secrets.token_hex(6)}"
    address = f"user=streamboss dbname=postgres {postgres.replace('&', ' ')}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return f"postgresql://streamboss@/{name}?{postgres}"


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


def _who_may_run_it(folder: Path) -> int | None:
    """PostgreSQL refuses to run as root: then somebody else gets the folder."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user.pw_uid


def _answers(folder: Path) -> bool:
    try:
        psycopg.connect(f"user=streamboss dbname=postgres host={folder} port={_PORT}").close()
    except psycopg.OperationalError:
        return False
    return True


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
