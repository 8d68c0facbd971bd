"""A private PostgreSQL for the tests: on a socket only, as somebody who isn't root."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.eventually import eventually
from tests.processes import descendants, sigkill

_PORT = 5432  # a name for the socket only: nothing listens on the network
_INITDB = ("-U", "streamboss", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
_OPTIONS = ("listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=100")


class PostgresServer:
    """A server in a folder of its own; killed and started again whenever a test says so."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            raise RuntimeError("PostgreSQL is not installed: 'make setup' installs it")
        self._programs = programs[-1]
        # a socket's path must be short
        self._folder = Path(tempfile.mkdtemp(prefix="sb-pg-", dir="/tmp"))
        self._options: dict[str, Any] = {
            "cwd": self._folder,
            "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            **_somebody_else(self._folder),
        }
        initdb = [f"{self._programs}/initdb", "-D", f"{self._folder}/data", *_INITDB]
        subprocess.run(initdb, check=True, capture_output=True, **self._options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """How a URL reaches it."""
        return f"host={self._folder}&port={_PORT}"

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return f"{self._folder}/.s.PGSQL.{_PORT}"

    @property
    def pids(self) -> set[int]:
        """All its processes: each has a process group of its own."""
        if self._process is None:
            return set()
        return {self._process.pid, *(pid for pid, _ in descendants(self._process.pid))}

    def start(self) -> None:
        """Start it and wait until it answers; again after `kill`."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it."""
        command = [f"{self._programs}/postgres", "-D", f"{self._folder}/data"]
        command += ["-k", str(self._folder), "-p", str(_PORT)]
        command += [word for option in _OPTIONS for word in ("-c", option)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet, **self._options)

    def wait_ready(self) -> None:
        """Wait until it answers."""
        eventually(lambda: _answers(self._folder), within_s=60, what="PostgreSQL answers")

    def kill(self) -> None:
        """End it and all its connections at once, as a power cut does."""
        if self._process is not None:
            sigkill(*self.pids)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        """Delete what it kept."""
        shutil.rmtree(self._folder)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server for the length of a `with` block."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.kill()
        server.remove()


def create_database(postgres: str, name: str = "") -> str:
    """Make an empty database on the server and return its URL."""
    name = name or f"test_{secrets.token_hex(6)}"
    address = f"user=streamboss dbname=postgres {postgres.replace('&', ' ')}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return f"postgresql://streamboss@/{name}?{postgres}"


def _somebody_else(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then somebody else gets the folder."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _answers(folder: Path) -> bool:
    try:
        psycopg.connect(
            f"user=streamboss dbname=postgres host={folder} port={_PORT}", connect_timeout=2
        ).close()
    except psycopg.OperationalError:
        return False
    return True
