"""One instance of an operation on this node, over all the processes that run it in turn."""

import re
import signal
import time
from dataclasses import dataclass, field

from agent.node.plan import Running
from agent.node.process import OperatorProcess
from agent.protocol import ExitStatus
from streams.backoff import backoff_s
from streams.control import Assigned, OperatorReport, OperatorState

#: After how many ends in a row it is called failed, and how long it has to live to start afresh.
LOOP = 3
HEALTHY_S = 30.0
FIRST_S, LONGEST_S = 0.2, 60.0
#: Level and name before what an operator logs.
_LOG_HEAD = re.compile(r"^[A-Z]+ [a-z.]+: ")
#: A broker that restarts is soon back.
LONGEST_LOST_S = 5.0


@dataclass(slots=True, eq=False)
class Place:
    """What is known of one instance. Without a process it waits until `due_at` (monotonic)."""

    number: int
    assigned: Assigned
    process: OperatorProcess | None = None
    said: OperatorReport | None = None
    draining: bool = False
    restarts: int = 0
    failures: int = 0
    blameless: bool = False
    reason: str = "waits for an operator process"
    due_at: float = 0.0
    launched_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None

    def running(self, now: float) -> Running:
        """Return what the plan has to know of it."""
        return Running(
            place=self.number,
            operation=self.assigned.operation,
            revision=self.assigned.revision,
            draining=self.draining,
            due=self.process is None and now >= self.due_at,
        )

    def launched(self, process: OperatorProcess) -> None:
        """Note the process that runs it from now on."""
        self.process = process
        self.said = None
        self.launched_at = time.monotonic()
        self.started_at = time.time()

    def failed(self, status: int | None, why: str) -> None:
        """Note that its process ended unasked, or couldn't be started (`status` None)."""
        now = time.monotonic()
        if self.process is not None:
            self.restarts += 1
            if now - self.launched_at >= HEALTHY_S:
                self.failures = 0
        self.failures += 1
        self.blameless = status == ExitStatus.LOST_CONNECTION
        longest_s = LONGEST_LOST_S if self.blameless else LONGEST_S
        delay_s = backoff_s(self.failures, first_s=FIRST_S, longest_s=longest_s)
        self.process, self.said = None, None
        self.due_at = now + delay_s
        self.reason = f"{why}; next try after {delay_s:.1f} s"

    def report(self) -> OperatorReport:
        """Return what the heartbeat says of it."""
        said = self.said or OperatorReport(
            operation=self.assigned.operation,
            revision=self.assigned.revision,
            state=self._state(),
            reason="" if self.process else self.reason,
        )
        counters = said.counters
        update: dict[str, object] = {
            # the operator sees its pid in a namespace of its own, where it is 1
            "pid": self.process.operator_pid() if self.process else None,
            "started_at": said.started_at or self.started_at,
            "counters": counters.model_copy(update={"restarts": counters.restarts + self.restarts}),
        }
        if self.draining:
            update["state"] = OperatorState.DRAINING
        return said.model_copy(update=update)

    def _state(self) -> OperatorState:
        if self.failures >= LOOP and not self.blameless:
            return OperatorState.FAILED
        return OperatorState.STARTING


def why_ended(status: int, stderr: str) -> str:
    """Return an operator process's end as a sentence; negative `status` is a signal."""
    said = _LOG_HEAD.sub("", stderr)
    match status:
        case ExitStatus.DRAINED:
            return "the operator has drained"
        case ExitStatus.LOST_CONNECTION:
            return said or "the operator lost its connection to the broker"
        case _ if status < 0:
            text = f"the operator was ended by {_signal_name(-status)}"
        case _:
            text = f"the operator ended with status {status}"
    return f"{text} ({said})" if said else text


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
