"""`sandbox: strict`: a program that sees this machine's files, and reaches nothing of it.

bubblewrap makes namespaces and mounts for each start: no network, everything read-only but the
operation's own folder, a /tmp and a /run of its own (sockets are in /run), processes of its own, no
capabilities. That costs some 4 ms a start, three times that on a busy machine; services pay once.

It stands between us and the program: a monitor is the process that we started, below it is process
1 of the sandbox, and the program is that one's child.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from agent.operator.command import as_user
from agent.operator.reaper import children
from streams.definition import ProcessDefinition, Sandboxing

_BWRAP = "/usr/bin/bwrap"
#: What bubblewrap writes before its own complaints; its exit status is then 1.
_COMPLAINT = "bwrap: "
_PROBE_S = 10
_CANNOT_RUN = 126
#: What bubblewrap, like a shell, adds to the number of the signal that ended a program.
_SIGNALLED = 128
#: Folders that are empty in there.
_PRIVATE = ("/tmp", "/run")  # noqa: S108 - hidden, not used
_WALLS = (
    "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
    *(word for folder in _PRIVATE for word in ("--tmpfs", folder)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a program may write (`home`), and where it begins (`folder`)."""

    home: str
    folder: str

    def wrapped(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return `words` behind bwrap(1)."""
        # a folder below /tmp would be hidden with it
        seen = ("--ro-bind", self.folder, self.folder) if _hidden(self.folder) else ()
        own = ("--bind", self.home, self.home, "--chdir", self.folder)
        return (_BWRAP, *_WALLS, *seen, *own, "--", *words)

    def problem(self, program: str, run_as: str | None) -> str | None:
        """Say why `program` can't be run in it, or None; asks the kernel by trying."""
        shown = any(PurePath(program).is_relative_to(each) for each in (self.home, self.folder))
        if _hidden(program) and not shown:
            return f"program {program!r} is hidden by the sandbox: /tmp and /run are empty in there"
        if not Path(_BWRAP).exists():
            return "sandbox 'strict' needs bubblewrap, which isn't installed here"
        try:
            done = subprocess.run(
                as_user(self.wrapped(["/bin/true"]), run_as),
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"sandbox 'strict' isn't possible here: {error}"
        if done.returncode == 0:
            return None
        said = done.stderr.decode(errors="replace").strip().removeprefix(_COMPLAINT)
        return f"sandbox 'strict' isn't possible here: {said or f'status {done.returncode}'}"


def sandbox_of(definition: ProcessDefinition, home: str) -> Sandbox | None:
    """Return what is built around the definition's program, if it asks for it."""
    if definition.sandbox is Sandboxing.NONE:
        return None
    return Sandbox(home=home, folder=definition.cwd or home)


def programs(monitor: int) -> list[int]:
    """Return the program in a sandbox, with those of its group that lost their parents."""
    inside = [(init, pid) for init in children(monitor) for pid in children(init)]
    return [pid for init, pid in inside if _group(pid) == _group(init)]


def group(monitor: int) -> int:
    """Return the process group of a sandbox's program; the monitor's own while there is none."""
    return next((found for init in children(monitor) if (found := _group(init))), monitor)


def exit_code(code: int, last_line: str) -> int:
    """Return a program's exit code (a signal is a negative one) from its monitor's. Pure."""
    if code == 1 and last_line.startswith(_COMPLAINT):
        return _CANNOT_RUN  # the sandbox failed: no message is to blame
    with suppress(ValueError):
        return -signal.Signals(code - _SIGNALLED)
    return code


def _group(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _hidden(path: str) -> bool:
    return any(PurePath(folder) in PurePath(path).parents for folder in _PRIVATE)
