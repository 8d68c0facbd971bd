"""Whether what an operation needs works: its program, S3. After a failure it is tried again."""

from collections.abc import Callable

from agent.operator.report import Reporter
from streams.backoff import backoff_s
from streams.broker import EventLoop
from streams.control import OperatorState

_FIRST_S = 0.5


class Condition:
    """The operation's state: failed as long as anything that it needs is."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reasons: dict[Health, str] = {}

    @property
    def starting(self) -> bool:
        """Whether nothing is known yet."""
        return self._reporter.state is OperatorState.STARTING

    def broken(self, need: "Health", reason: str) -> None:
        """Note why something doesn't work."""
        self._reasons[need] = reason
        self._report()

    def works(self, need: "Health") -> None:
        """Note that something works."""
        self._reasons.pop(need, None)
        self._report()

    def _report(self) -> None:
        if self._reporter.state is OperatorState.DRAINING:
            return
        state = OperatorState.FAILED if self._reasons else OperatorState.RUNNING
        self._reporter.set(state, "; ".join(dict.fromkeys(self._reasons.values())))


class Health:
    """`broken` stops new work until a try is due, ever more rarely; `works` ends the trouble."""

    def __init__(self, loop: EventLoop, condition: Condition) -> None:
        self._loop = loop
        self._condition = condition
        self._failures = 0
        self._timer: object = None
        self._stopped = False
        #: called when the next try is due
        self.on_try: Callable[[], None] = lambda: None

    @property
    def failed(self) -> bool:
        """Whether it didn't work the last time."""
        return self._failures > 0

    @property
    def waiting(self) -> bool:
        """Whether nothing may be started now."""
        return self._timer is not None

    def broken(self, reason: str) -> None:
        """Say why it doesn't work, and try again later."""
        self._condition.broken(self, reason)
        if self._timer is None and not self._stopped:
            self._failures += 1
            self._timer = self._loop.call_later(
                backoff_s(self._failures, first_s=_FIRST_S), self._due
            )

    def works(self) -> None:
        """Note that it works."""
        if self._failures or self._condition.starting:
            self._failures = 0
            self._condition.works(self)

    def started(self) -> None:
        """Note that the program was started; whether it works is to be seen."""
        if not self._failures:
            self._condition.works(self)

    def hasten(self) -> None:
        """Try at once what would be tried later: something has changed."""
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._due()

    def stop(self) -> None:
        """Try nothing more."""
        self._stopped = True
        self._loop.cancel(self._timer)
        self._timer = None

    def _due(self) -> None:
        self._timer = None
        self.on_try()
