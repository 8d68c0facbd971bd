"""podman by its command line: the one place that starts it."""

import json
import os
import re
import resource
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from provision.errors import Kind, ProvisionError

_KINDS = (
    (re.compile(r"no such (container|volume|image|object)|image not known"), Kind.GONE),
    (re.compile(r"address already in use|unable to connect to podman"), Kind.RETRY),
    (re.compile(r"no space left on device|cannot allocate memory"), Kind.CAPACITY),
)
#: podman's own answer to a limit above the machine's: it doesn't start ("setrlimit ...").
_MOST_FILES = 1_048_576
#: podman 4.3 lowers its own limit to this, and can't give a machine more.
_MOST_PROCESSES = 32_768
#: What a podman that was asked to end gets before it is killed.
_GRACE_S = 10


@dataclass(frozen=True, slots=True)
class Engine:
    """This computer's podman; with `socket`, a path, the podman that serves there.

    A machine of a local cloud gets such a socket, to launch others beside itself.
    """

    socket: str | None = None

    def run(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60) -> str:
        """Run podman and return what it printed.

        It runs in a session of its own: a signal to our group, or the end of this process, doesn't
        stop it half-way. A podman killed while it starts a machine leaves processes behind.

        Raises:
            ProvisionError: podman isn't there, said no, or took longer than `timeout_s` seconds.
        """
        verb = " ".join(word for word in arguments[:2] if not word.startswith("-"))
        try:
            process = subprocess.Popen(
                ["podman", *self._options(), *arguments],  # noqa: S607 wherever it is installed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ProvisionError(
                "podman isn't installed: run ./setup.sh, or use a cloud"
            ) from error
        with process:
            stdout, stderr = _communicate(process, stdin, verb, timeout_s)
        if process.returncode != 0:
            raise _refusal(verb, stderr.decode(errors="replace"))
        return stdout.decode(errors="replace")

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """Run one of podman's listing commands and return its rows."""
        printed = self.run(*arguments, "--format", "json")
        rows: list[dict[str, Any]] | None = json.loads(printed or "[]")
        return rows or []

    @property
    def host(self) -> str:
        """How ports that podman publishes on its computer's 127.0.0.1 are reached from here."""
        return "10.0.2.2" if self.socket else "127.0.0.1"

    def _options(self) -> Sequence[str]:
        return ("--remote", "--url", f"unix://{self.socket}") if self.socket else runtime()


#: This computer's podman.
OURS = Engine()


@cache
def check_storage(engine: Engine) -> None:
    """Raise, asking podman once, where podman copies whole images for each machine."""
    if engine.run("info", "--format", "{{.Store.GraphDriverName}}").strip() == "vfs":
        raise ProvisionError(
            "podman's storage driver is vfs, which copies whole images for each machine: "
            "set driver = \"overlay\" in storage.conf, then 'podman system reset'"
        )


def limits() -> Sequence[str]:
    """Return the options that keep podman from asking for more than this machine allows."""
    files = _hard_limit(resource.RLIMIT_NOFILE, _MOST_FILES)
    processes = _hard_limit(resource.RLIMIT_NPROC, _MOST_PROCESSES)
    return (f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={processes}:{processes}")


def _hard_limit(which: int, most: int) -> int:
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


def runtime() -> Sequence[str]:
    """Return the choice of OCI runtime: crun refuses where cgroups aren't v2 alone."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return () if unified else ("--runtime", "runc")


def environment() -> dict[str, str]:
    """Return podman's environment; without root, podman 4.3 would choose vfs by itself."""
    storage = {} if os.geteuid() == 0 else {"STORAGE_DRIVER": "overlay"}
    return storage | dict(os.environ)


def _communicate(
    process: subprocess.Popen[bytes], stdin: bytes, verb: str, timeout_s: float
) -> tuple[bytes, bytes]:
    try:
        return process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        process.terminate()
        try:
            process.communicate(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise ProvisionError(f"podman {verb}: no end after {timeout_s:g} s", Kind.RETRY) from error
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):  # so that what it made can be undone
            process.communicate(timeout=_GRACE_S)
        raise


def _refusal(verb: str, stderr: str) -> ProvisionError:
    """Return podman's last words as an error. They never hold what was on its stdin."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    text = lines[-1].removeprefix("Error: ") if lines else "failed without a word"
    kinds = (kind for pattern, kind in _KINDS if pattern.search(text.lower()))
    return ProvisionError(f"podman {verb}: {text}", next(kinds, Kind.FATAL))
