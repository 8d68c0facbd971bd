"""An embedded stack of the test's own, and somebody who types commands beside it."""

import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from streams import tls
from streams.settings import Settings
from tests.eventually import eventually
from tools.stack import up
from tools.stack.state import State

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"
COMMAND_S = 60.0
_SHM = Path("/dev/shm")


class Listener:
    """A command left running in the background, and the lines that it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.removesuffix("\n"))

    def line(self, within_s: float = 30.0) -> str:
        """Return the next line as soon as it comes."""
        try:
            return self._lines.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no line within {within_s:g} s") from None

    def stop(self) -> None:
        """End it as ^C does."""
        self._process.send_signal(2)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        assert self._process.stdout
        self._process.stdout.close()


class Person:
    """Types commands in the stack's folder, with an environment that holds nothing of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings.load({}, folder)
        self._listeners: list[Listener] = []
        keep = ("PATH", "PYTHONPATH", "LANG")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        self.environment["HOME"] = str(folder)

    def run(self, tool: str, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Run `tools/<tool>` to its end and return its stdout."""
        done = subprocess.run(
            [str(TOOLS / tool), *arguments],
            input=stdin,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{tool} {arguments}: {done.returncode}: {done.stderr}")
        return done.stdout

    def consume(self, stream: str, *arguments: str) -> Listener:
        """Leave `tools/consume.py STREAM` running."""
        listener = Listener(
            subprocess.Popen(
                [str(TOOLS / "consume.py"), stream, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._listeners.append(listener)
        return listener

    def leave(self) -> None:
        """End whatever was left running."""
        for listener in self._listeners:
            listener.stop()

    def http(self, method: str, path: str, body: object = None) -> Any:
        """Ask the manager, as curl would."""
        answer = httpx.request(
            method,
            f"{self.settings.need_manager()}/api/{path}",
            json=body,
            auth=(self.settings.user or "", self.settings.password or ""),
            timeout=30,
            trust_env=False,
            verify=tls.context_for(self.settings.need_manager(), self.settings.ca_file),
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def register(self, **definition: object) -> int:
        """Register a process definition over HTTP and return its id."""
        created = self.http("POST", "process_definition/", {"definition": definition})
        return int(created["id"])

    def state(self, operation: str) -> str:
        """Return an operation's state."""
        return str(self.http("GET", f"operations/{operation}/")["state"])

    def until(self, operation: str, state: str, within_s: float = 30.0) -> None:
        """Wait until an operation is in a state."""
        eventually(
            lambda: self.state(operation) == state,
            within_s=within_s,
            what=f"{operation} is {state}",
        )


@contextmanager
def stack_folder_of_a_test() -> Iterator[Path]:
    """Give a folder whose stack, if one was made in it, is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sb-stack-", dir=_SHM if _SHM.is_dir() else None))
    (folder / ".streamboss").mkdir(mode=0o700)
    try:
        yield folder
    finally:
        kill_stack(folder)
        shutil.rmtree(folder)


def kill_stack(folder: Path) -> None:
    """End a stack as a power cut would: all its parts die with the supervisor."""
    state = State.load(folder / ".streamboss")
    if state and (supervisor := state.supervisor):
        supervisor.kill()
        eventually(lambda: not processes_of(folder), what="every process of the stack is gone")
        state.storage.node(folder).forget_sockets()


def processes_of(folder: Path) -> list[str]:
    """Return the command line of each process that names a folder in it, or stands in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name == str(os.getpid()):
            continue
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if line and (str(folder) in line or (entry / "cwd").readlink().is_relative_to(folder)):
                found.append(f"{entry.name} {line}")
    return found


@contextmanager
def running_stack() -> Iterator[Person]:
    """Run a stack for the length of a `with` block."""
    with stack_folder_of_a_test() as folder:
        up(folder, env={})
        person = Person(folder)
        try:
            yield person
        finally:
            person.leave()
