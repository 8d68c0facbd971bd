"""The manager as a process: the one place where its parts are put together."""

import errno
import gc
import logging
import os
import signal
import socket
import ssl
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import uvicorn

from manager import logs
from manager.child import Child
from manager.errors import StoreUnavailableError
from manager.front import create_front
from manager.machines.ground import desk_at
from manager.patience import PatientProtocol
from manager.reaper import Reaper
from manager.runtime import Runtime
from manager.services import Services
from manager.store import Store, database_url
from manager.sweep import Sweep
from manager.users import Users
from streams.errors import SettingsError
from streams.settings import Settings

log = logging.getLogger(__name__)

#: A certificate and its key, two files in PEM.
Tls = tuple[Path, Path]

LOOPBACK = "127.0.0.1"
#: Where the manager listens if nobody says otherwise and nobody else does.
DEFAULT_PORT = 8081
#: How long requests may take to end once the manager is to stop.
_DRAIN_S = 2
_BACKLOG = 128


def run(
    settings: Settings,
    host: str = LOOPBACK,
    port: int | None = None,
    *,
    roles: Collection[str] = ("archiver", "replayer", "reaper"),
    tls: Tls | None = None,
) -> None:
    """Serve until SIGTERM; return when the requests at hand are answered.

    Of the `roles` each runs beside it as soon as there is something for it to do: the reaper where
    there is an inventory, the others where S3 is set.
    Prints `manager: http://HOST:PORT` on stdout as soon as it may be asked. Broker and database
    needn't be there: what needs them is answered with 503 until they are.

    Raises:
        SettingsError: settings or a certificate that it can't work with, or `port` is taken.
    """
    logs.to_stderr()
    store = Store(database_url(settings, Path.cwd()))
    users = Users(store, first=_first_admin(settings))
    desk = desk_at(os.environ, Path.cwd())
    runtime = Runtime(settings, store, desk)
    sweep = Sweep(settings, runtime.leads)
    reaper = Reaper(desk if "reaper" in roles else None, store, runtime.leads)
    server = server_of(Services(store, users, runtime), tls)
    # uvicorn hands a signal on when it is done: this is what it then meets, instead of the end
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    freeze_what_stays()
    beside = _children(store, roles if settings.bucket else ())
    with closing(store), listening(host, port) as listener, _started(runtime, sweep, reaper):
        _prepare(users)
        print(f"manager: {address(listener, tls)}", flush=True)  # noqa: T201 - the result
        with _started(*beside):
            server.run(sockets=[listener])


def freeze_what_stays() -> None:
    """Take what was made up to now, which stays for ever, out of the garbage collector's rounds.

    Modules and classes are some 200,000 objects, and going over them takes longer than a plan.
    """
    gc.collect()
    gc.freeze()


class _Part(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def _started(*parts: _Part) -> Iterator[None]:
    """Let these parts work for the length of a `with` block; the last one ends first."""
    with ExitStack() as stack:
        for part in parts:
            part.start()
            stack.callback(part.stop)
        yield


def _children(store: Store, roles: Collection[str]) -> list[Child]:
    """Return those of `roles` that are processes of their own."""
    children = (
        Child("archiver", "manager.archiver.process", store.open_archives),
        Child("replayer", "manager.replays.process", store.has_replays),
    )
    return [child for child in children if child.name in roles]


def server_of(services: Services, tls: Tls | None = None) -> uvicorn.Server:
    """Return the HTTP server on top of `services`, not yet listening.

    Raises:
        SettingsError: certificate or key can't be read, or don't fit each other.
    """
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        create_front(services),
        http=PatientProtocol,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:
        why = "they don't fit, or aren't PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"--certificate {certificate}, --key {key}: {why}") from None
    return uvicorn.Server(config)


def listening(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on `port`; without one on 8081 or, if that is taken, any.

    Raises:
        SettingsError: `port` is taken, or `host` isn't an address of this machine.
    """
    for attempt in (DEFAULT_PORT, 0) if port is None else (port,):
        try:
            listener = socket.create_server((host, attempt), family=_family(host), backlog=_BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise SettingsError(
                    f"can't listen on {host} port {attempt}: {error.strerror}:"
                    " choose another with --port"
                ) from None
        else:
            # accepted sockets inherit it; without it each answer waits 40 ms for an acknowledgement
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listener
    raise SettingsError(f"can't listen on {host}: no free port")  # pragma: no cover


def address(listener: socket.socket, tls: Tls | None = None) -> str:
    """Return where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _first_admin(settings: Settings) -> tuple[str, str] | None:
    if settings.user and settings.password:
        return settings.user, settings.password
    return None


def _prepare(users: Users) -> None:
    try:
        users.prepare()
    except StoreUnavailableError as error:
        log.warning("%s; the manager serves what it can and tries again", error)
