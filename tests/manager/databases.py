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

_PORT = 5432  # a name for the socket only: nothing listens on the network
_INITDB = ("-U", "streamboss", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
_OPTIONS = ("listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=100")


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server for the length of a `with` block; gives how a URL reaches it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise RuntimeError("PostgreSQL is not installed: 'make setup' installs it")
    folder = Path(tempfile.mkdtemp(prefix="sb-pg-", dir="/tmp"))  # a socket's path must be short
    options: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        **_somebody_else(folder),
    }
    initdb = [f"{programs[-1]}/initdb", "-D", f"{folder}/data", *_INITDB]
    subprocess.run(initdb, check=True, capture_output=True, **options)
    command = [f"{programs[-1]}/postgres", "-D", f"{folder}/data", "-k", str(folder)]
    command += ["-p", str(_PORT), *(word for option in _OPTIONS for word in ("-c", option))]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet, **options)
    try:
        eventually(lambda: _answers(folder), what="PostgreSQL answers")
        yield f"host={folder}&port={_PORT}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


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
        psycopg.connect(f"user=streamboss dbname=postgres host={folder} port={_PORT}").close()
    except psycopg.OperationalError:
        return False
    return True
