"""Trials on this node: one at a time, each in a process that ends with all it began."""

from collections.abc import Callable

from agent.node.pool import Pool
from agent.node.process import OperatorProcess
from streams.broker import EventLoop
from streams.control import TRIAL_S, TrialAsked, TrialTold

#: What its process gets beyond the program's time, to start and to end, before it is ended.
_GRACE_S = 8.0

OnTold = Callable[[TrialTold], None]


class Trials:
    """At most one trial; `on_told` is called once for each that was asked for."""

    def __init__(self, loop: EventLoop, pool: Pool, node: str, on_told: OnTold) -> None:
        self._loop, self._pool, self._node, self._on_told = loop, pool, node, on_told
        self._process: OperatorProcess | None = None
        self._asked: TrialAsked | None = None
        self._told: TrialTold | None = None

    def ask(self, asked: TrialAsked) -> None:
        """Begin a trial, or say why not."""
        if self._process is not None:
            self._refuse(asked, "another program is being tried there: try again soon")
            return
        try:
            process = self._pool.take_trial(asked)
        except OSError as error:
            self._refuse(asked, f"a process can't be started: {error.strerror}")
            return
        self._process, self._asked, self._told = process, asked, None
        self._loop.call_later(TRIAL_S + _GRACE_S, lambda: self._overdue(process))

    def heard(self, process: OperatorProcess, told: TrialTold) -> None:
        """Keep what came of it until its process is gone, and whatever that began."""
        if process is self._process:
            self._told = told

    def ended(self, process: OperatorProcess, why: str) -> None:
        """Tell what came of it, and make room for the next one."""
        if process is not self._process or self._asked is None:
            return
        asked, told = self._asked, self._told
        self._process = self._asked = self._told = None
        if told is None:
            self._refuse(asked, f"the process that tried it ended: {why}")
        else:
            self._on_told(told.model_copy(update={"node": self._node, "trial": asked.trial}))

    def _overdue(self, process: OperatorProcess) -> None:
        if process is self._process:
            process.kill(f"it had no answer after {TRIAL_S + _GRACE_S:g} s")

    def _refuse(self, asked: TrialAsked, problem: str) -> None:
        self._on_told(TrialTold(trial=asked.trial, node=self._node, problem=problem))
