"""Who waits for processes: every child, also those adopted from programs that ended before them.

An operator is often process 1 of its own pid namespace, where nobody else would.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streams.broker import EventLoop, Signals

_PR_SET_CHILD_SUBREAPER = 36
#: What a process may take to die of SIGKILL (it may hang in the kernel).
_END_S = 3.0
_END_POLL_S = 0.002

OnExit = Callable[[int], None]


class Reaper:
    """Calls back, from the loop, when a child ends; the argument is the wait status.

    One for a process: it owns the signals. With `alone` it also owns all children: it adopts
    orphans and waits for whatever ends; else others may have theirs.
    """

    def __init__(self, loop: EventLoop, *, alone: bool = True) -> None:
        self._callbacks: dict[int, OnExit] = {}
        self._alone = alone
        if alone:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._signals = Signals(loop, {signal.SIGCHLD: self._reap})
        self.on_signal = self._signals.on

    def watch(self, pid: int, on_exit: OnExit) -> None:
        """Call `on_exit` once when `pid`, just started from the loop's thread, ends."""
        self._callbacks[pid] = on_exit

    def strays(self) -> list[int]:
        """Return the children that nobody watches: adopted ones."""
        if not self._alone:
            return []
        return [pid for pid in children() if pid not in self._callbacks]

    def end_all(self) -> None:
        """Kill every descendant, and those that show up as their parents die; reap them."""
        self._callbacks.clear()
        deadline = time.monotonic() + _END_S
        while (pids := children()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            while self._reap_one(-1):
                pass
            time.sleep(_END_POLL_S)

    def close(self) -> None:
        """Give the signals back."""
        self._signals.close()

    def _reap(self) -> None:
        if not self._alone:
            for pid in list(self._callbacks):
                self._reap_one(pid)
            return
        while self._reap_one(-1):
            pass

    def _reap_one(self, which: int) -> bool:
        try:
            pid, status = os.waitpid(which, os.WNOHANG)
        except ChildProcessError:
            return False
        on_exit = self._callbacks.pop(pid, None)
        if on_exit is not None:
            on_exit(status)
        return pid != 0


def children(pid: int | str = "self") -> list[int]:
    """Return the children of all threads of a process; none if it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def kill_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, which may be gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
