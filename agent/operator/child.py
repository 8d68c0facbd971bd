"""A running program: its output, its end, and the end of whatever it left behind."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from agent.operator import sandbox
from agent.operator.cgroup import Cgroup
from agent.operator.reaper import Reaper, kill_group
from agent.operator.spawn import Pipes
from agent.operator.tail import LogLines, Stderr
from streams.broker import EventLoop

READ_BYTES = 65_536
#: How long the group may take to end by itself after SIGTERM.
TERM_GRACE_S = 2.0
#: How long somebody may hold the output of a program that has exited.
ORPHAN_GRACE_S = 0.5
#: One round of the loop reads at most so much from one pipe, so that nobody starves.
_READS_A_ROUND = 16
_REMOVALS, _REMOVE_S = 20, 0.1


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended: its exit status, or the number of the signal as a negative one."""

    code: int
    #: the kernel ended a process of it, because its cgroup was full
    out_of_memory: bool = False

    @property
    def text(self) -> str:
        """Return the status as a person reads it."""
        if self.out_of_memory and self.code:
            return f"{self._status}: out of memory (limits: memory_bytes)"
        return self._status

    @property
    def label(self) -> str:
        """Return the status as one word: `0`, `75`, `SIGKILL`."""
        return str(self.code) if self.code >= 0 else self._status.removeprefix("signal ")

    @property
    def _status(self) -> str:
        if self.code >= 0:
            return f"exit status {self.code}"
        with suppress(ValueError):
            return f"signal {signal.Signals(-self.code).name}"
        return f"signal {-self.code}"


class Child:
    """Reads stdout and stderr of a started program and calls back once when it is over.

    `on_output` gets what it writes, an empty piece at the end of its stdout. `on_end` comes when
    the program itself has exited and its stdout is closed, or held by others for too long: then
    the whole group is ended and what they write goes nowhere.
    """

    def __init__(
        self,
        loop: EventLoop,
        reaper: Reaper,
        pipes: Pipes,
        log: LogLines,
        *,
        sandboxed: bool,
        cgroup: Cgroup | None,
        on_output: Callable[[bytes], None],
        on_end: Callable[[Exit], None],
    ) -> None:
        self.pid = pipes.pid
        self.stdout: int | None = pipes.stdout
        self._stderr: int | None = pipes.stderr
        self.errors = Stderr(log)
        self.exit: Exit | None = None
        #: called after each round of reading
        self.on_read: Callable[[], None] = lambda: None
        self.over = False
        self._sandboxed = sandboxed
        self._cgroup = cgroup
        self._loop = loop
        self._on_output = on_output
        self._on_end = on_end
        self._timer: object = None
        self._paused_at: float | None = None
        loop.watch(pipes.stdout, read=self._readable)
        loop.watch(pipes.stderr, read=self._read_errors)
        reaper.watch(pipes.pid, self._exited)

    def read_output(self) -> bool:
        """Read what is there; say whether the pipe was found empty or at its end."""
        for _ in range(_READS_A_ROUND):
            if self.stdout is None:
                return True
            try:
                data = os.read(self.stdout, READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                self._close_output()
                self._on_output(b"")
                self._end_if_over()
                return True
            self._on_output(data)
            if len(data) < READ_BYTES // 16:
                return False  # little came: more would be known by the next round
        return False

    @property
    def paused(self) -> bool:
        """Whether what it writes is left in its pipe."""
        return self._paused_at is not None

    def pause_output(self, *, paused: bool) -> float:
        """Leave what the program writes in its pipe for now, or read it again.

        Returns:
            For how long it has been left there, in seconds: time that doesn't run against it.
        """
        if self.stdout is None or paused is self.paused:
            return 0.0
        now = monotonic()
        lost_s = now - self._paused_at if self._paused_at is not None else 0.0
        self._paused_at = now if paused else None
        self._loop.watch(self.stdout, read=None if paused else self._readable)
        return lost_s

    def end(self) -> None:
        """End the whole group: SIGTERM, and soon SIGKILL."""
        if not self.over:
            # of a sandbox only the program: its monitor would take it along at once
            group = sandbox.group(self.pid) if self._sandboxed else self.pid
            kill_group(group, signal.SIGTERM)
            self._loop.cancel(self._timer)
            self._timer = self._loop.call_later(TERM_GRACE_S, self.kill)

    def kill(self) -> None:
        """End the whole group at once; `on_end` follows when it is reaped."""
        if not self.over:
            if self._sandboxed:
                kill_group(sandbox.group(self.pid), signal.SIGKILL)
            kill_group(self.pid, signal.SIGKILL)
            if self.exit is not None:
                self._finish()

    def _readable(self) -> None:
        self.read_output()
        self.on_read()

    def read_all(self) -> None:
        """Read until the pipe is empty; of a program that waits, so that there is an end."""
        for _ in range(_READS_A_ROUND):
            if self.read_output():
                return

    def _exited(self, status: int) -> None:
        self.exit = Exit(os.waitstatus_to_exitcode(status))
        if self.stdout is not None:
            self.read_output()
        if self.stdout is not None and not self.over:
            self._loop.cancel(self._timer)
            self._timer = self._loop.call_later(ORPHAN_GRACE_S, self._orphans)
            return
        self._end_if_over()

    def _orphans(self) -> None:
        """Take what has been written until now, and leave the rest."""
        self.read_all()
        if not self.over:
            self._finish()

    def _end_if_over(self) -> None:
        if self.exit is not None and self.stdout is None and not self.over:
            self._finish()

    def _finish(self) -> None:
        self.over = True
        self._loop.cancel(self._timer)
        self._read_errors()
        kill_group(self.pid, signal.SIGKILL)  # whoever was left behind in it
        self._close_output()
        self._close_errors()
        self.errors.end()
        assert self.exit is not None  # noqa: S101 - both callers have seen it
        if self._sandboxed:
            self.exit = Exit(sandbox.exit_code(self.exit.code, self.errors.tail.last_line()))
        if self._cgroup is not None:
            self.exit = replace(self.exit, out_of_memory=self._cgroup.ran_out_of_memory)
            self._remove_cgroup(_REMOVALS)
        self._on_end(self.exit)

    def _remove_cgroup(self, left: int) -> None:
        """Remove it when whoever was left behind in it has died; at last the agent does it."""
        if self._cgroup is not None and not self._cgroup.remove() and left:
            self._loop.call_later(_REMOVE_S, lambda: self._remove_cgroup(left - 1))

    def _read_errors(self) -> None:
        for _ in range(_READS_A_ROUND):
            if self._stderr is None:
                return
            try:
                data = os.read(self._stderr, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_errors()
                return
            self.errors.feed(data)
            if len(data) < READ_BYTES:
                return

    def _close_output(self) -> None:
        if self.stdout is not None:
            self._loop.unwatch(self.stdout)
            os.close(self.stdout)
            self.stdout = None

    def _close_errors(self) -> None:
        if self._stderr is not None:
            self._loop.unwatch(self._stderr)
            os.close(self._stderr)
            self._stderr = None
