"""Whether the program can be run at all; after a failure it is tried again, ever more rarely."""

from collections.abc import Callable

from agent.operator.report import Reporter
from streams.backoff import backoff_s
from streams.broker import EventLoop
from streams.control import OperatorState

_FIRST_S = 0.5


class Health:
    """`broken` stops all new work until a try is due; `works` ends the trouble."""

    def __init__(self, loop: EventLoop, reporter: Reporter) -> None:
        self._loop = loop
        self._reporter = reporter
        self._failures = 0
        self._timer: object = None
        self._stopped = False
        #: called when the next try is due
        self.on_try: Callable[[], None] = lambda: None

    @property
    def failed(self) -> bool:
        """Whether the program couldn't be run the last time."""
        return self._failures > 0

    @property
    def waiting(self) -> bool:
        """Whether nothing may be started now."""
        return self._timer is not None

    def broken(self, reason: str) -> None:
        """Say why the program can't be run, and try again later."""
        self._report(OperatorState.FAILED, reason)
        if self._timer is None and not self._stopped:
            self._failures += 1
            self._timer = self._loop.call_later(
                backoff_s(self._failures, first_s=_FIRST_S), self._due
            )

    def works(self) -> None:
        """Note that the program runs."""
        if self._failures or self._reporter.state is OperatorState.STARTING:
            self._failures = 0
            self._report(OperatorState.RUNNING, "")

    def started(self) -> None:
        """Note that the program was started; whether it works is to be seen."""
        if not self._failures:
            self._report(OperatorState.RUNNING, "")

    def stop(self) -> None:
        """Try nothing more."""
        self._stopped = True
        self._loop.cancel(self._timer)
        self._timer = None

    def _due(self) -> None:
        self._timer = None
        self.on_try()

    def _report(self, state: OperatorState, reason: str) -> None:
        if self._reporter.state is not OperatorState.DRAINING:
            self._reporter.set(state, reason)
