"""What a stack remembers between `up` and the next: ports, passwords, who supervises it."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from streams.settings import STACK_FOLDER, Settings, login_of, without_password
from streams.tls import CA_VARIABLE
from tools.stack import rabbitmq
from tools.stack.errors import StackError
from tools.stack.ports import LOOPBACK, free_ports, is_free, kept
from tools.stack.processes import Identity
from tools.stack.storage import Storage

STATE_FILE = "state.json"
MANAGER_PORT = 8081
USER = "admin"
_BROKER_USER = "streamboss"
_VERSION = 1
_BROKER_SETTINGS = ("STREAMBOSS_AMQP_URL", "STREAMBOSS_BROKER_API_URL", CA_VARIABLE)


@dataclass(frozen=True, slots=True)
class Borrowed:
    """A broker that somebody else runs, named in the environment of `up`."""

    #: one or several of one cluster, separated by commas
    amqp_url: str = field(repr=False)
    broker_api_url: str | None = None
    ca_file: str | None = None

    def shown(self) -> str:
        """Return the addresses without passwords."""
        return ", ".join(without_password(url) for url in self.amqp_url.split(","))


@dataclass(frozen=True, slots=True)
class State:
    """One stack. Made once; a second `up` finds it, also after a crash or a reboot."""

    broker_ports: rabbitmq.Ports
    manager_port: int
    broker_password: str = field(repr=False)
    password: str = field(repr=False)
    storage: Storage
    borrowed: Borrowed | None = None
    database_url: str | None = field(default=None, repr=False)
    supervisor: Identity | None = None
    #: where the supervisor listens; empty before its first start
    socket: str = ""

    @classmethod
    def new(cls) -> Self:
        """Choose ports and passwords."""
        *broker, other = free_ports(6)
        return cls(
            broker_ports=rabbitmq.Ports(*broker),
            manager_port=MANAGER_PORT if is_free(MANAGER_PORT) else other,
            broker_password=secrets.token_hex(16),
            password=secrets.token_hex(12),
            storage=Storage.new(),
        )

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the stack of `.streamboss/`, if there is one.

        Raises:
            StackError: a file that isn't ours, or not readable.
        """
        path = folder / STATE_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls._parse(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StackError(
                f"{path}: can't be read ({type(error).__name__}: {error}):"
                f" restore it, or remove {folder} to begin anew, without its data"
            ) from error

    @classmethod
    def need(cls, folder: Path) -> Self:
        """Read the stack that is surely there."""
        if (state := cls.load(folder)) is None:
            raise StackError(f"{folder / STATE_FILE}: gone while in use: run 'streamboss up' again")
        return state

    @classmethod
    def _parse(cls, data: dict[str, Any]) -> Self:
        if data.pop("v") != _VERSION:
            raise ValueError("written by another version of Streamboss")
        data["broker_ports"] = rabbitmq.Ports(**data["broker_ports"])
        # stacks of earlier versions have none
        data["storage"] = Storage.parse(data["storage"]) if "storage" in data else Storage.new()
        if data["borrowed"]:
            data["borrowed"] = Borrowed(**data["borrowed"])
        if data["supervisor"]:
            data["supervisor"] = Identity.parse(data["supervisor"])
        return cls(**data)

    def save(self, folder: Path) -> None:
        """Write the state; a crash leaves the old or the new one, never half."""
        text = json.dumps({"v": _VERSION, **asdict(self)}, indent=1)
        write_private(folder / STATE_FILE, text + "\n")

    def broker(self, folder: Path) -> rabbitmq.Node:
        """Return our own broker, in `.streamboss/broker`."""
        return rabbitmq.Node(
            folder / "broker", self.broker_ports, _BROKER_USER, self.broker_password
        )

    @property
    def manager_url(self) -> str:
        """The manager's address."""
        return f"http://{LOOPBACK}:{self.manager_port}"

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the settings that tools and services need, as `.streamboss/env` holds them."""
        node = self.broker(folder)
        values = {
            "STREAMBOSS_AMQP_URL": self.borrowed.amqp_url if self.borrowed else node.amqp_url,
            "STREAMBOSS_BROKER_API_URL": (
                self.borrowed.broker_api_url or "" if self.borrowed else node.api_url
            ),
            CA_VARIABLE: self.borrowed.ca_file or "" if self.borrowed else "",
            "STREAMBOSS_MANAGER_URL": self.manager_url,
            "STREAMBOSS_USER": USER,
            "STREAMBOSS_PASSWORD": self.password,
            "STREAMBOSS_DATABASE_URL": self.database_url or _own_database(folder),
            **self.storage.environment(),
        }
        return {name: value for name, value in values.items() if value}

    def with_servers_of(self, env: Mapping[str, str], folder: Path) -> "State":
        """Use the broker, the S3 server and the database that the environment names, if any.

        Our own addresses, from a sourced `.streamboss/env`, aren't somebody else's; an empty
        value goes back to our own.

        Raises:
            SettingsError: an address that can't be one.
        """
        state = replace(self, storage=self.storage.with_environment(env))
        named = {name: env[name] for name in _BROKER_SETTINGS if name in env}
        if "STREAMBOSS_AMQP_URL" in named:
            settings = Settings.load(dict.fromkeys(_BROKER_SETTINGS, "") | named, folder)
            if not self._is_own(settings.amqp_urls):
                state = replace(state, borrowed=_borrowed(settings))
        database = env.get("STREAMBOSS_DATABASE_URL")
        if database is not None and database != _own_database(folder):
            state = replace(state, database_url=database or None)
        return state

    def _is_own(self, urls: tuple[str, ...]) -> bool:
        own = (_BROKER_USER, self.broker_password)
        return any(urlsplit(url).hostname == LOOPBACK and login_of(url) == own for url in urls)

    def with_free_ports(self) -> "State":
        """Keep the ports, but for those that somebody else has taken."""
        fresh = iter(free_ports(14))
        ports = {name: kept(port, fresh) for name, port in asdict(self.broker_ports).items()}
        return replace(
            self,
            broker_ports=rabbitmq.Ports(**ports),
            manager_port=kept(self.manager_port, fresh),
            storage=self.storage.with_free_ports(fresh),
        )


def _borrowed(settings: Settings) -> Borrowed | None:
    if not settings.amqp_urls:
        return None
    ca_file = str(settings.ca_file) if settings.ca_file else None
    return Borrowed(",".join(settings.amqp_urls), settings.broker_api_url, ca_file)


def _own_database(folder: Path) -> str:
    return f"sqlite:///{folder / 'manager.db'}"


def stack_folder(start: Path) -> Path:
    """Return the nearest `.streamboss` from `start` upwards; else the one to make in `start`."""
    start = start.resolve()
    for place in (start, *start.parents):
        if (place / STACK_FOLDER).is_dir():
            return place / STACK_FOLDER
    return start / STACK_FOLDER


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file at once, readable by its owner alone from its first moment."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
