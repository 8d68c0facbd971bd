"""Somebody who types commands for a manager that serves within the test's process."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from streams.settings import Settings
from tests.manager.serving import ADMIN, Api, serving
from tests.rabbit import BrokerNode

ROOT = Path(__file__).parents[2]
COMMAND_S = 30.0

Done = subprocess.CompletedProcess[str]


def words(*arguments: str) -> list[str]:
    """Return the command line of `streamboss ARGUMENTS`, of this very tree."""
    return [sys.executable, "-P", "-m", "tools.main", *arguments]


@dataclass(frozen=True)
class Typist:
    """Types commands in a folder, with an environment that holds nothing but what it needs."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, url: str, folder: Path, login: tuple[str, str] = ADMIN) -> "Typist":
        """Return somebody whose settings lead to the manager at `url`."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "STREAMBOSS_MANAGER_URL": url,
            "STREAMBOSS_USER": login[0],
            "STREAMBOSS_PASSWORD": login[1],
        }
        return cls(folder, environment)

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command; its stdout and stderr are pipes."""
        return subprocess.Popen(
            words(*arguments),
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_bytes(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command whose stdout and stderr are pipes of bytes."""
        return subprocess.Popen(
            words(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **more: str) -> Done:
        """Run a command to its end."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=COMMAND_S)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def must(self, *arguments: str) -> str:
        """Run a command that succeeds; return its stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def on_terminal(self, *arguments: str, answers: str = "") -> Done:
        """Run a command on a terminal; what comes out is stdout and stderr as a person sees them.

        An answer is typed each time something waits for one, which shows as a line not ended.
        """
        pid, terminal = pty.fork()
        if pid == 0:  # pragma: no cover - the other process
            os.chdir(self.folder)
            # exec alone: this is a fork of a process with threads
            os.execvpe(  # noqa: S606 - it is ours
                sys.executable,
                words(*arguments),
                {**self.environment, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
            )
        seen = ""
        waiting = answers.splitlines(keepends=True)
        with suppress(OSError):  # what a closed terminal says at its end
            while piece := os.read(terminal, 65536):
                seen += piece.decode()
                if waiting and seen.endswith(("] ", ": ")):
                    os.write(terminal, waiting.pop(0).encode())
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return subprocess.CompletedProcess(arguments, status, seen, "")


@contextmanager
def served(broker_node: BrokerNode, folder: Path) -> Iterator[tuple[Api, Settings]]:
    """Serve a manager on a vhost of its own."""
    with (
        broker_node.vhost() as settings,
        serving(settings, f"sqlite:///{folder}/manager.db") as api,
    ):
        yield api, settings
