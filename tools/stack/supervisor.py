"""The supervisor of a stack: started as a daemon, spoken to over its socket."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack.errors import StackError
from tools.stack.processes import Identity

CONFIGURATION_FILE = "supervisord.conf"
PID_FILE = "supervisord.pid"
_SOCKET_FILE = "supervisor.sock"
#: A socket's path has 107 bytes at most; supervisor appends its pid while it makes it.
_MAX_SOCKET_PATH = 95
#: Longer than any part may take to stop.
_CALL_S = 45.0
_START_S = 20.0
#: What the parts get of whoever types `up`; settings come from `.streamboss/env` alone.
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR"),
    *("LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_CALL_FAILED = (OSError, http.client.HTTPException, xmlrpc.client.Error)
#: The supervisor's words for a process that runs, or will in a moment.
STARTING, RUNNING = "STARTING", "RUNNING"


@dataclass(frozen=True, slots=True)
class PartProcess:
    """What the supervisor says about one part."""

    name: str
    state: str
    pid: int
    since: float
    #: why it doesn't run, in the supervisor's words
    problem: str


def socket_path(folder: Path, known: str) -> str:
    """Return where the supervisor's socket goes: short enough, and nobody else's to reach."""
    path = str(folder / _SOCKET_FILE)
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    if known and Path(known).parent.is_dir():
        return known
    return str(Path(tempfile.mkdtemp(prefix="streamboss-")) / _SOCKET_FILE)


def forget_socket(folder: Path, socket_file: str) -> None:
    """Remove the socket, and the folder that was made for it."""
    path = Path(socket_file)
    if socket_file and path.parent != folder:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()


class Supervisor:
    """The supervisor of the stack in `folder` (a `.streamboss`)."""

    def __init__(self, folder: Path, socket_file: str) -> None:
        self._folder = folder
        self._proxy = xmlrpc.client.ServerProxy(
            "http://supervisor", transport=_UnixTransport(socket_file), allow_none=True
        )

    def identity(self) -> Identity | None:
        """Return the supervisor that answers, if one does."""
        try:
            return Identity.of(int(self._call("getPID")))
        except StackError:
            return None

    def processes(self) -> dict[str, PartProcess]:
        """Return what the supervisor says about each part, by name."""
        return {
            info["name"]: PartProcess(
                info["name"], info["statename"], info["pid"], info["start"], info["spawnerr"]
            )
            for info in self._call("getAllProcessInfo")
        }

    def launch(self) -> Identity:
        """Start the supervisor as a daemon and wait until it answers.

        Raises:
            StackError: it can't start; its own words.
        """
        pid_file = self._folder / PID_FILE
        pid_file.unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        run = subprocess.run(
            [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", CONFIGURATION_FILE],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        deadline = time.monotonic() + _START_S
        while (identity := self.identity()) is None:
            if run.returncode or time.monotonic() > deadline:
                _kill_daemon(pid_file)
                raise StackError(
                    f"supervisor: did not start: {(run.stderr or run.stdout).strip()[-500:]}"
                    f" (see {self._folder / 'logs' / 'supervisord.log'})"
                )
            time.sleep(0.05)
        return identity

    def start(self, part: str) -> None:
        """Start a part that isn't running, now: without the pause after earlier failures."""
        process = self.processes()[part]
        if process.state in {STARTING, RUNNING}:
            return
        if process.state == "BACKOFF":
            self._call("stopProcess", part)
        self._call("startProcess", part, False)  # noqa: FBT003 - don't wait, by position

    def stop(self, part: str) -> None:
        """Stop a part, if it runs, and wait until it is gone."""
        if self.processes()[part].state not in {"STOPPED", "EXITED", "FATAL"}:
            self._call("stopProcess", part)

    def shutdown(self) -> None:
        """Tell the supervisor to stop every part, from the last to the first, and then to end."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except _CALL_FAILED as error:
            raise StackError(f"supervisor: {method}: {error}: run 'streamboss up'") from error


def _kill_daemon(pid_file: Path) -> None:
    """End a daemon that we just launched and that doesn't answer."""
    with suppress(OSError, ValueError):
        if daemon := Identity.of(int(pid_file.read_text())):
            daemon.kill()


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        del host  # one socket, one server
        return _UnixConnection(self._path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_CALL_S)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise
