"""One operator process: its pipes on the loop, its lines in and out."""

import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

import agent
from agent.protocol import Alive, Log, Ready, Report, Tried
from streams.broker import EventLoop

log = logging.getLogger(__name__)

OPERATOR, TRIAL = "agent.operator", "agent.trying"
#: What an operator gets of our environment: no secrets, and its programs could read them there.
_PASSED_ON = ("PATH", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH")
_READ_BYTES = 64 * 1024
_LINE_BYTES = 1024 * 1024
_STDERR_LINES = 5
#: How util-linux 2.38 ends, with status 1, when what it wrapped was ended by SIGKILL: it wants to
#: end itself by the same signal, and resets that signal's handler first, which SIGKILL hasn't.
_WRAPPED_KILLED = "unshare: sigprocmask unblock failed"

Said = Ready | Report | Log | Alive | Tried
_SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])
OnSaid = Callable[["OperatorProcess", Said], None]


class Lines:
    """Bytes into lines; one that is too long is cut."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._limit:
            lines.append(self._rest)
            self._rest = b""
        return lines


class _Pipe:
    """A pipe read line by line until its end, or until it is closed."""

    def __init__(self, loop: EventLoop, fd: int, on_line: Callable[[bytes], None]) -> None:
        self._loop, self._fd, self._on_line = loop, fd, on_line
        self._lines = Lines(_LINE_BYTES)
        self._open = True
        os.set_blocking(fd, False)
        loop.watch(fd, read=self._readable)

    def _readable(self) -> None:
        self._read_once()

    def _read_once(self) -> bool:
        """Read and pass on the lines; say whether there may be more."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        for line in self._lines.feed(data):
            self._on_line(line)
        return True

    def drain(self) -> None:
        """Read what is left after the process ended, and close."""
        # bounded: somebody else may hold the writing end and go on
        for _ in range(64):
            if not self._open or not self._read_once():
                break
        for line in self._lines.feed(b"\n"):
            if line:
                self._on_line(line)
        self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.unwatch(self._fd)
            os.close(self._fd)


class OperatorProcess:
    """A process of `agent.operator` (or of `agent.trying`), by `posix_spawn` from the main thread.

    The kernel ties it to the thread that starts it (`PR_SET_PDEATHSIG`), so only that will do.
    """

    def __init__(
        self,
        loop: EventLoop,
        *,
        number: int,
        prefix: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        on_said: OnSaid,
        module: str = OPERATOR,
    ) -> None:
        self.number = number
        self.folder = folder
        self.ready = False
        #: how often the pool has looked since it last said something
        self.looks_in_silence = 0
        self._killed = False
        #: why we ended it
        self.fault = ""
        self.stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._loop, self._on_said = loop, on_said
        self._waiting = b""
        command = [*prefix, sys.executable, "-P", "-m", module]
        self.pid, self._stdin, stdout, stderr = _spawn(command, environment)
        self._inner_pid = None if prefix else self.pid
        self._stdin_open = True
        os.set_blocking(self._stdin, False)
        self._stdout = _Pipe(loop, stdout, self._heard)
        self._stderr = _Pipe(loop, stderr, self._complained)

    def operator_pid(self) -> int:
        """Return the pid of the operator itself: its wrapper of namespaces has another."""
        if self._inner_pid is None:
            with suppress(OSError, ValueError, IndexError):
                children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
                self._inner_pid = int(children.split()[0])
        return self._inner_pid or self.pid

    def say(self, line: BaseModel) -> None:
        """Write a line to the operator's stdin, without ever waiting for it."""
        if self._stdin_open:
            self._waiting += line.model_dump_json().encode() + b"\n"
            self._write()

    def hang_up(self) -> None:
        """End the operator's stdin: it takes it that we are gone, and ends."""
        if self._stdin_open:
            self._stdin_open = False
            self._loop.unwatch(self._stdin)
            os.close(self._stdin)

    def kill(self, fault: str = "") -> None:
        """End it at once, for this reason. With namespaces everything below it ends, too."""
        self.fault = self.fault or fault
        with suppress(ProcessLookupError):  # ended and reaped already
            os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> int:
        """Take its last words, after it was reaped; return the operator's own exit status."""
        self.hang_up()
        self._stdout.drain()
        self._stderr.drain()
        return -signal.SIGKILL if self._killed else status

    def _write(self) -> None:
        try:
            written = os.write(self._stdin, self._waiting)
        except BlockingIOError:
            written = 0
        except BrokenPipeError:  # it is about to end; that is what tells why
            self.hang_up()
            return
        self._waiting = self._waiting[written:]
        self._loop.watch(self._stdin, write=self._write if self._waiting else None)

    def _heard(self, line: bytes) -> None:
        self.looks_in_silence = 0
        try:
            said = _SAID.validate_json(line)
        except ValidationError as error:
            log.warning(
                "operator process %d: a line with %d problems", self.pid, error.error_count()
            )
            return
        if isinstance(said, Ready):
            self.ready = True
        self._on_said(self, said)

    def _complained(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        if text.startswith(_WRAPPED_KILLED):
            self._killed = True
            return
        self.stderr.append(text[:500])
        log.info("operator process %d: %s", self.pid, text)


def environment(mark: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return an operator's whole environment."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    root = str(Path(agent.__file__).parent.parent)
    path = [entry for entry in (passed.get("PYTHONPATH"), root) if entry]
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **passed,
        # -P keeps the current folder out: somebody's `agent/` there isn't ours
        "PYTHONPATH": os.pathsep.join(path),
        "HOME": str(home),
        **mark,
    }


def _spawn(command: Sequence[str], env: Mapping[str, str]) -> tuple[int, int, int, int]:
    """Start `command`; return its pid and our ends of its stdin, stdout and stderr."""
    stdin, to_it = os.pipe()
    from_it, stdout = os.pipe()
    errors, stderr = os.pipe()
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
            ],
            # its own session: ^C at our terminal is for us, who let it drain
            setsid=True,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except OSError:
        for fd in (to_it, from_it, errors):
            os.close(fd)
        raise
    finally:
        for fd in (stdin, stdout, stderr):
            os.close(fd)
    return pid, to_it, from_it, errors
