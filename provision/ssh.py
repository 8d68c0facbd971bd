"""ssh to machines. All runs as root, on whatever cloud, as whatever user one logs in there."""

import io
import logging
import secrets
import shlex
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fabric.config import Config
from fabric.connection import Connection
from paramiko.channel import Channel
from paramiko.client import MissingHostKeyPolicy
from paramiko.config import SSHConfig
from paramiko.pkey import PKey
from paramiko.ssh_exception import AuthenticationException, SSHException
from paramiko.transport import Transport

from provision.errors import Kind, ProvisionError, WaitTimeoutError
from provision.lines import Lines
from provision.login import Login, wait_for_sshd
from provision.waiting import wait_until

_CONNECT_S = 15
#: How long between two tries to log in.
_AGAIN_S = 1.0
#: How long an upload may stand still, or a machine leave what we send unacknowledged.
_SILENCE_S = 60
_KEEPALIVE_S = 15
#: How much longer than the machine's own `timeout` we wait, before we take the line for dead.
_GRACE_S = 15
#: How often a silent command is asked whether it has ended and left its output to a child.
_POLL_S = 0.5
_TIMED_OUT = (124, 137)

# its thread prints tracebacks of refused connections, which we report ourselves
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SshError(ProvisionError):
    """No login, or the connection broke."""


class CommandError(ProvisionError):
    """A command on a machine failed. `status` is its exit status, or None after a time-out."""

    def __init__(self, what: str, status: int | None, tail: str) -> None:
        self.status = status
        self.tail = tail
        super().__init__(f"{what}\n{tail}" if tail else what)


class Shell:
    """An open connection to one machine."""

    def __init__(self, connection: Connection, login: Login) -> None:
        self._connection = connection
        self._login = login
        self._root = "" if login.user == "root" else "sudo -n "

    def run(
        self, command: str, *, timeout_s: float, on_line: Callable[[str], None] | None = None
    ) -> str:
        """Run a command line of `sh` as root and return what it printed, both streams as they came.

        `on_line` gets each line at once. The machine itself ends the command after `timeout_s`
        seconds, so it does also when we are gone. Of long output only the end is returned.

        Raises:
            CommandError: exit status other than 0, or the time-out; with the last 20 lines.
            SshError: the connection broke; the command may still be running (RETRY).
        """
        # `exit`: a timeout that has to kill kills itself, too, and a shell says that as a number
        limited = f"timeout --kill-after=2 {timeout_s:.3f} sh -c {shlex.quote(command)}; exit $?"
        lines = Lines(on_line)
        started = time.monotonic()
        try:
            status = self._execute(self._root + limited, lines, started + timeout_s + _GRACE_S)
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(error) from error
        lines.end()
        what = f"{self._login.machine_id}: {command}"
        if status in _TIMED_OUT and time.monotonic() - started >= timeout_s:
            raise CommandError(f"{what}: no end after {timeout_s:g} s", None, lines.tail())
        if status != 0:
            raise CommandError(f"{what}: exit {status}", status, lines.tail())
        return lines.text()

    def put(self, source: Path, target: str, *, mode: int = 0o644) -> None:
        """Copy a file to `target`, owned by root; folders are made as needed, a file replaced.

        Raises:
            ProvisionError: `source` can't be read, or `target` not written.
            SshError: the connection broke, or its user's home is full.
        """
        try:
            file = source.open("rb")
        except OSError as error:
            raise ProvisionError(f"{source}: {error.strerror}") from error
        with file:
            self._put(file, target, mode)

    def put_text(self, text: str, target: str, *, mode: int = 0o644) -> None:
        """Write `text` to the file `target`, as `put` does. It is in no command line."""
        self._put(io.BytesIO(text.encode()), target, mode)

    def _put(self, file: IO[bytes], target: str, mode: int) -> None:
        """Upload as the user whom ssh lets in, then let root put it in its place, at once."""
        try:
            sftp = self._connection.sftp()
            sftp.get_channel().settimeout(_SILENCE_S)
            draft = f"{sftp.normalize('.')}/.streamboss-{secrets.token_hex(8)}"
            with sftp.open(draft, "w") as empty:
                empty.chmod(0o600)
            sftp.putfo(file, draft)
        except (SSHException, OSError, EOFError) as error:
            raise self._broken(error) from error
        made, part = shlex.quote(draft), shlex.quote(f"{target}.part")
        try:
            self.run(
                f"install -D --mode={mode:o} {made} {part} && mv {part} {shlex.quote(target)};"
                f" status=$?; rm {made}; exit $status",
                timeout_s=_SILENCE_S,
            )
        except CommandError as error:
            where = f"{self._login.machine_id}: {target}"
            raise ProvisionError(f"{where}: can't be written: {error.tail}") from error

    def _execute(self, command: str, lines: Lines, deadline: float) -> int:
        channel = self._connection.create_session()
        try:
            channel.set_combine_stderr(True)
            channel.settimeout(_POLL_S)
            channel.exec_command(command)
            while not _at_end(channel, lines):
                if time.monotonic() > deadline:
                    raise TimeoutError("no answer")
            if not channel.status_event.wait(_GRACE_S) or channel.exit_status < 0:
                raise EOFError("closed before the command ended")
            return int(channel.exit_status)
        finally:
            channel.close()

    def _broken(self, error: Exception) -> SshError:
        return SshError(f"{self._login.machine_id}: ssh broke off: {_words(error)}", Kind.RETRY)


@contextmanager
def connected(login: Login, *, timeout_s: float) -> Iterator[Shell]:
    """Give a shell on a machine, waiting until it lets us in: a key may come after sshd.

    Raises:
        HostKeyError: it isn't the machine that it should be, at once.
        SshError: not let in within `timeout_s` seconds (AUTH), or nobody answers (RETRY).
    """
    deadline = time.monotonic() + timeout_s
    try:
        wait_for_sshd(login.host, login.port, timeout_s=timeout_s)
    except WaitTimeoutError as error:
        raise SshError(f"{login.machine_id}: {error}", Kind.RETRY) from error
    with _logged_in(login, deadline) as connection:
        yield Shell(connection, login)


def _logged_in(login: Login, deadline: float) -> Any:
    reasons: list[Exception] = []

    def opened() -> Any:
        connection = _connection(login)
        try:
            connection.open()
        except (SSHException, OSError, EOFError) as error:
            connection.close()
            reasons.append(error)
            return None
        except ProvisionError:
            connection.close()
            raise
        _notice_when_gone(connection.transport)
        return connection

    left_s = max(0.0, deadline - time.monotonic())
    try:
        return wait_until(opened, what=login.machine_id, timeout_s=left_s, interval_s=_AGAIN_S)
    except WaitTimeoutError as error:
        refused = isinstance(reasons[-1], AuthenticationException)
        raise SshError(
            f"{login.machine_id}: no login as {login.user} on {login.host} port {login.port}: "
            f"{_words(reasons[-1])}",
            Kind.AUTH if refused else Kind.RETRY,
        ) from error


def _connection(login: Login) -> Any:
    """Return a connection, not yet open, that nothing in this user's home has a say in."""
    connection: Any = Connection(
        host=login.host,
        port=login.port,
        user=login.user,
        config=Config(lazy=True, ssh_config=SSHConfig()),
        connect_timeout=_CONNECT_S,
        connect_kwargs={
            "key_filename": str(login.key),
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": _CONNECT_S,
            "auth_timeout": _CONNECT_S,
            "channel_timeout": _CONNECT_S,
        },
    )
    connection.client.set_missing_host_key_policy(_Check(login))
    return connection


def _notice_when_gone(transport: Transport) -> None:
    """Let a machine that vanishes without a word break the connection within about a minute."""
    transport.set_keepalive(_KEEPALIVE_S)
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_S * 1000)


class _Check(MissingHostKeyPolicy):
    """Compares with our own file: to paramiko, which knows addresses only, each is missing."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def missing_host_key(self, client: object, hostname: str, key: PKey) -> None:  # noqa: ARG002 paramiko's
        self._login.known_hosts.check(
            self._login.machine_id, f"{key.get_name()} {key.get_base64()}"
        )


def _at_end(channel: Channel, lines: Lines) -> bool:
    """Read once. A command has ended, too, when only a child of it still holds its output.

    Its last words may come after its status: only silence afterwards is the end.
    """
    over = bool(channel.exit_status_ready())
    try:
        data = channel.recv(65536)
    except TimeoutError:
        return over
    lines.feed(data)
    return not data


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
