"""The database itself: its address, connections, transactions and migrations.

SQLite in WAL mode by default, PostgreSQL by its URL. Nothing is opened before it is needed, and
what isn't there yet is tried again with the next use: the manager may start before its database.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.util
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from manager.errors import ConflictError, StoreUnavailableError
from streams.errors import SettingsError
from streams.settings import STACK_FOLDER, Settings, find_env_file

log = logging.getLogger(__name__)

DATABASE_FILE = "manager.db"
_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
#: PostgreSQL's lock for "somebody migrates"; any number nobody else uses.
_MIGRATION_LOCK = 5_217_003
_CONNECT_S = 5
#: After a failure, others that ask within this time get the same answer without a new attempt.
_COOL_DOWN_S = 1.0
#: PostgreSQL's code for a change where none may be made.
_READ_ONLY = "25006"
_POSTGRES_CLOCK = "SELECT extract(epoch FROM clock_timestamp())"
_SQLITE_CLOCK = "SELECT (julianday('now') - 2440587.5) * 86400.0"
#: libpq's own: a machine that is gone without a word is noticed in 11 s.
_SILENCE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}
_PRAGMAS = ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL")


def database_url(settings: Settings, folder: Path) -> str:
    """Return the database's URL: as set, or a SQLite file beside the nearest settings file."""
    if settings.database_url:
        return settings.database_url
    found = find_env_file(folder)
    home = found.parent if found else folder / STACK_FOLDER
    return f"sqlite:///{home / DATABASE_FILE}"


class Database:
    """Connections to one database, and transactions on it. Safe for use by many threads."""

    def __init__(self, url: str) -> None:
        self._url = _checked_url(url)
        self._engine = _engine(self._url)
        self._writer = self._engine.execution_options(writes=True)
        self._lock = threading.Lock()
        self._migrated = False
        self._failure: tuple[float, StoreUnavailableError] | None = None
        self._epoch_s: float | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite: one file, one machine."""
        return self._engine.dialect.name == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The SQLite file."""
        return Path(str(make_url(self._url).database))

    def prepare(self) -> None:
        """Bring the tables up to date, if that hasn't been done yet.

        Raises:
            StoreUnavailableError: the database doesn't answer.
        """
        with self._lock:
            if self._migrated:
                return
            if self._failure and time.monotonic() - self._failure[0] < _COOL_DOWN_S:
                raise self._failure[1]
            try:
                with self._explained():
                    self._migrate()
            except StoreUnavailableError as error:
                self._failure = (time.monotonic(), error)
                raise
            self._migrated = True

    def ping(self) -> None:
        """Do nothing if the database answers.

        Raises:
            StoreUnavailableError: it doesn't.
        """
        with self._reading() as session:
            session.execute(text("SELECT 1"))

    def now(self) -> datetime:
        """Return the time by which is counted how long something takes.

        It is the database's, which all managers share, when this was first asked, and what has
        passed since then, asleep or awake: setting a clock doesn't move it.

        Raises:
            StoreUnavailableError: the database never answered.
        """
        if self._epoch_s is None:
            with self._reading() as session:
                self._epoch_s = self._now_s(session) - _passed_s()
        return datetime.fromtimestamp(self._epoch_s + _passed_s(), UTC)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A transaction that only looks."""
        self.prepare()
        with self._explained(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction that changes; SQLite takes its write lock at the beginning."""
        self.prepare()
        with (
            self._explained(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def _now_s(self, session: Session) -> float:
        """Return the seconds since 1970 by the database's clock: all managers have the same."""
        clock = _SQLITE_CLOCK if self.is_sqlite else _POSTGRES_CLOCK
        return float(session.execute(text(clock)).scalar_one())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = make_url(self._url).render_as_string(hide_password=True)
        try:
            yield
        except IntegrityError as error:
            raise ConflictError(
                "somebody else changed the same thing at the same moment: try again"
            ) from error
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if isinstance(error, DBAPIError) and not _is_outage(error):
                raise
            cause = str(getattr(error, "orig", error)).strip().splitlines()
            raise StoreUnavailableError(
                f"database {where}: {cause[0] if cause else type(error).__name__}{_hint(error)}"
            ) from error

    @contextmanager
    def _rebuilding(self) -> Iterator[Connection]:
        """A transaction that changes the tables themselves; one at a time."""
        engine = _engine(self._url, migrating=True).execution_options(writes=True)
        with engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATION_LOCK})
            yield connection

    def _migrate(self) -> None:
        if self.is_sqlite:
            _private_file(self.sqlite_path)
        with self._rebuilding() as connection:
            try:
                alembic.command.upgrade(migration_config(connection), "head")
            except alembic.util.CommandError as error:
                raise StoreUnavailableError(
                    f"database: {error}: it was made by a newer Streamboss, or isn't ours"
                ) from error


def _passed_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def migration_config(connection: Connection) -> Config:
    """Return Alembic's configuration, bound to an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def versions() -> list[str]:
    """Return the versions that the tables have had, the oldest first."""
    scripts = ScriptDirectory(str(_MIGRATIONS)).walk_revisions()
    return [script.revision for script in reversed(list(scripts))]


def _checked_url(url: str) -> str:
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            url = f"postgresql+psycopg://{url.removeprefix(plain)}"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "STREAMBOSS_DATABASE_URL: must look like sqlite:////path/file.db"
            " or postgresql://user:password@host/database"
        ) from None
    if parts.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise SettingsError(
            f"STREAMBOSS_DATABASE_URL: {parts.drivername}: use sqlite:// or postgresql://"
        )
    if parts.drivername == "sqlite" and parts.database in {None, "", ":memory:"}:
        raise SettingsError("STREAMBOSS_DATABASE_URL: SQLite needs a file: sqlite:////path/file.db")
    return url


def _engine(url: str, *, migrating: bool = False) -> Engine:
    options: dict[str, Any] = {"poolclass": NullPool} if migrating else {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        engine = create_engine(url, **options)
        # foreign keys are off while tables are rebuilt: SQLite's own advice for ALTER TABLE
        pragmas = [*_PRAGMAS, f"foreign_keys={'OFF' if migrating else 'ON'}"]
        event.listen(engine, "connect", lambda connection, _: _set_up(connection, pragmas))
        event.listen(engine, "begin", _begin)
        return engine
    if not migrating:
        options |= {"pool_size": 10, "max_overflow": 10, "pool_timeout": _CONNECT_S}
    return create_engine(url, connect_args={"connect_timeout": _CONNECT_S, **_SILENCE}, **options)


def _set_up(connection: sqlite3.Connection, pragmas: Sequence[str]) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin` does
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_outage(error: DBAPIError) -> bool:
    """Tell a database that can't do its work from a statement of ours that is wrong."""
    if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
        return True
    return error.connection_invalidated or type(error).__name__ in {
        "OperationalError",
        "InterfaceError",
    }


def _hint(error: Exception) -> str:
    """Return what to do about an outage, where the address may be what is wrong."""
    cause = getattr(error, "orig", None)
    if getattr(cause, "sqlstate", None) == _READ_ONLY:
        return ": it is a standby, or was made read-only"
    # whoever was reached has a code, but for a file that can't be opened
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return ": check STREAMBOSS_DATABASE_URL" if code in {None, "SQLITE_CANTOPEN"} else ""


def _private_file(path: Path) -> None:
    """Create the file, readable by its owner only, before SQLite does it for everybody."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
