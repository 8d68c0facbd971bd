"""Operator processes: started, one kept in spare, reaped."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.node.cgroups import Cgroups
from agent.node.config import AgentConfig
from agent.node.isolation import Isolation, end_marked
from agent.node.process import OPERATOR, TRIAL, OnSaid, OperatorProcess, Said, environment
from agent.node.scratch import Scratch
from agent.protocol import BEAT_S, MARK_VARIABLE, Connect, Ready, Try
from streams.backoff import backoff_s
from streams.broker import EventLoop
from streams.control import TrialAsked

log = logging.getLogger(__name__)

#: An operator that isn't connected by then never will be.
READY_S = 30.0
#: An operator that has not said a word for so many beats hangs. Looks are counted, not seconds:
#: while a machine sleeps, nobody beats and nobody looks.
SILENT_LOOKS = 6
#: Starting costs 0.1 s of a core each: this many at once keep the cores busy and us on time.
STARTING = max(2, 2 * (os.cpu_count() or 1))
_FIRST_S, _LONGEST_S = 0.2, 30.0
#: How often and at what interval a dead operator's programs are looked for.
_SWEEPS, _SWEEP_S = 50, 0.1

OnEnded = Callable[[OperatorProcess, int], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """What operator processes stand on."""

    config: AgentConfig
    scratch: Scratch
    isolation: Isolation
    cgroups: Cgroups = field(default_factory=Cgroups)
    #: the user who runs programs; None: ours
    run_as: str | None = None


class Pool:
    """The operator processes of this node, by pid, and the one that waits for work.

    `on_said` and `on_ended` hear of those that were taken; `on_room` is called when there may be
    room for another.
    """

    def __init__(
        self,
        loop: EventLoop,
        ground: Ground,
        *,
        on_said: OnSaid,
        on_ended: OnEnded,
        on_room: Callable[[], None],
    ) -> None:
        self._loop, self._ground = loop, ground
        self._on_said, self._on_ended, self._on_room = on_said, on_ended, on_room
        self._processes: dict[int, OperatorProcess] = {}
        self._spare: OperatorProcess | None = None
        self._spare_failures = 0
        self._spare_due = 0.0
        self._numbers = 0
        loop.call_later(BEAT_S, self._look)

    @property
    def empty(self) -> bool:
        """Whether no operator process is left."""
        return not self._processes

    @property
    def spare_due_at(self) -> float | None:
        """When the next spare may be started (monotonic); None while there is one."""
        return None if self._spare else self._spare_due

    def take(self) -> OperatorProcess | None:
        """Return a process for an operation: the spare, a new one, or None if there's no room.

        Raises:
            OSError: the system couldn't start one.
        """
        taken, self._spare = self._spare, None
        if taken is None and self._room():
            taken = self._start()
        return taken

    def take_trial(self, asked: TrialAsked) -> OperatorProcess:
        """Return a process that tries a program, and ends.

        Raises:
            OSError: the system couldn't start one.
        """
        process = self._spawn(TRIAL)
        process.say(
            Try(
                asked=asked,
                scratch=str(process.folder),
                mark=self._ground.isolation.mark(process.number),
                cgroups=self._ground.cgroups.paths(process.number),
                run_as=self._ground.run_as,
            )
        )
        return process

    def keep_spare(self) -> None:
        """Have a process in spare, imported and connected."""
        if self._spare is None and self._room() and time.monotonic() >= self._spare_due:
            try:
                self._spare = self._start()
            except OSError as error:
                self._spare_failed(f"can't be started: {error.strerror}")

    def dismiss_spare(self) -> None:
        """Let the spare go."""
        if self._spare is not None:
            self._spare.hang_up()
            self._spare = None

    def kill(self) -> None:
        """End all of them at once."""
        for process in self._processes.values():
            process.kill()

    def reap(self) -> None:
        """Take the exit status of each child that ended; adopted ones (subreaper) included."""
        while self._reap_one():
            pass

    def _reap_one(self) -> bool:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        process = self._processes.pop(pid, None)
        if process is not None:
            self._end(process, os.waitstatus_to_exitcode(status))
        return pid != 0

    def _room(self) -> bool:
        return sum(not process.ready for process in self._processes.values()) < STARTING

    def _spawn(self, module: str) -> OperatorProcess:
        self._numbers += 1
        folder = self._ground.scratch.make(self._numbers)
        isolation = self._ground.isolation
        mark = isolation.mark(self._numbers)
        process = OperatorProcess(
            self._loop,
            number=self._numbers,
            prefix=isolation.prefix,
            environment=environment({MARK_VARIABLE: mark} if mark else {}, folder),
            folder=folder,
            on_said=self._heard,
            module=module,
        )
        self._processes[process.pid] = process
        self._loop.call_later(READY_S, lambda: self._check_ready(process))
        return process

    def _start(self) -> OperatorProcess:
        process, config = self._spawn(OPERATOR), self._ground.config
        process.say(
            Connect(
                amqp_urls=config.amqp_urls,
                node=config.name,
                scratch=str(process.folder),
                beat_s=BEAT_S,
                mark=self._ground.isolation.mark(process.number),
                cgroups=self._ground.cgroups.paths(process.number),
                run_as=self._ground.run_as,
            )
        )
        return process

    def _check_ready(self, process: OperatorProcess) -> None:
        if not process.ready and process.pid in self._processes:
            log.warning("operator process %d: not ready after %g s", process.pid, READY_S)
            process.kill()

    def _look(self) -> None:
        for process in self._processes.values():
            process.looks_in_silence += process.ready  # one that starts has `READY_S`
            if process.looks_in_silence == SILENT_LOOKS:
                silent_s = SILENT_LOOKS * BEAT_S
                process.kill(f"the operator hung: it had said nothing for {silent_s:g} s")
                log.warning("operator process %d: %s", process.pid, process.fault)
        self._loop.call_later(BEAT_S, self._look)

    def _heard(self, process: OperatorProcess, said: Said) -> None:
        if process is not self._spare:
            self._on_said(process, said)
        if isinstance(said, Ready):
            self._spare_failures = 0
            self._on_room()

    def _end(self, process: OperatorProcess, status: int) -> None:
        status = process.ended(status)
        self._ground.scratch.remove(process.folder)
        if mark := self._ground.isolation.mark(process.number):
            self._sweep(mark, _SWEEPS)
        self._remove_cgroups(process.number, _SWEEPS)
        if process is self._spare:
            self._spare = None
            self._spare_failed(f"ended with status {status}")
        else:
            self._on_ended(process, status)
        self._on_room()

    def _spare_failed(self, why: str) -> None:
        self._spare_failures += 1
        delay_s = backoff_s(self._spare_failures, first_s=_FIRST_S, longest_s=_LONGEST_S)
        self._spare_due = time.monotonic() + delay_s
        log.info("spare operator process: %s; next after %.1f s", why, delay_s)

    def _remove_cgroups(self, number: int, left: int) -> None:
        # whoever was just ended in them may not be gone yet
        if not self._ground.cgroups.remove(number) and left:
            self._loop.call_later(_SWEEP_S, lambda: self._remove_cgroups(number, left - 1))

    def _sweep(self, mark: str, left: int) -> None:
        if end_marked(mark) and left:
            self._loop.call_later(_SWEEP_S, lambda: self._sweep(mark, left - 1))
