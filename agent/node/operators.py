"""The operators of this node: converging on what is wanted."""

import logging
import time
from collections.abc import Callable, Sequence

from agent.node.place import Place, why_ended
from agent.node.plan import Act, Drain, Restart, Start, plan
from agent.node.pool import Ground, Pool
from agent.node.process import OperatorProcess, Said
from agent.node.trials import OnTold, Trials
from agent.protocol import Drain as DrainLine
from agent.protocol import Log, Report, Tried
from agent.protocol import Start as StartLine
from streams.broker import EventLoop
from streams.control import Assigned, OperatorReport, TrialAsked

log = logging.getLogger(__name__)

#: What an operator gets beyond its `drain_s` before it is ended.
GRACE_S = 5.0
#: One that was dropped at once makes room for its successor in the next round.
_ROUNDS = 2

OnLog = Callable[[str, tuple[str, ...], int], None]


class Operators:
    """The places of this node, and what brings them to the wanted set.

    `on_change` is called when a report's state or reason changed, `on_log` with an operation, lines
    of its program's stderr and how many were dropped before them, `on_told` with what came of a
    trial.
    """

    def __init__(
        self,
        loop: EventLoop,
        ground: Ground,
        *,
        on_change: Callable[[], None],
        on_log: OnLog,
        on_told: OnTold,
    ) -> None:
        self._loop, self._on_change, self._on_log = loop, on_change, on_log
        self._pool = Pool(
            loop, ground, on_said=self._heard, on_ended=self._ended, on_room=self.converge
        )
        self._trials = Trials(loop, self._pool, ground.config.name, on_told)
        self._wanted: tuple[Assigned, ...] = ()
        self._places: dict[int, Place] = {}
        self._by_process: dict[int, Place] = {}
        self._numbers = 0
        self._connected = False
        self._closing = False
        self._timer: object = None

    @property
    def empty(self) -> bool:
        """Whether no operation has an instance here any more."""
        return not self._places

    @property
    def gone(self) -> bool:
        """Whether no operator process is left, the spare included."""
        return self._pool.empty

    def reports(self) -> tuple[OperatorReport, ...]:
        """Return a report of each instance."""
        return tuple(place.report() for place in self._places.values())

    def want(self, wanted: Sequence[Assigned]) -> None:
        """Converge on this from now on."""
        self._wanted = tuple(wanted)
        latest = {(assigned.operation, assigned.revision): assigned for assigned in wanted}
        for place in self._places.values():
            key = (place.assigned.operation, place.assigned.revision)
            before, place.assigned = place.assigned, latest.get(key, place.assigned)
            if place.process is not None and before.objects != place.assigned.objects:
                place.process.say(StartLine(assigned=place.assigned))  # S3's keys may change
        self.converge()

    def try_out(self, asked: TrialAsked) -> None:
        """Try a program, beside what runs here."""
        self._trials.ask(asked)

    def connected(self, *, is_up: bool) -> None:
        """Say whether the broker can be reached: operators are started only while it can."""
        self._connected = is_up
        self.converge()

    def drain(self) -> None:
        """Take nothing new, let all finish; for good."""
        self._closing = True
        self._pool.dismiss_spare()
        self.converge()

    def kill(self) -> None:
        """End all at once."""
        self._closing = True
        self._pool.kill()

    def reap(self) -> None:
        """A child ended."""
        self._pool.reap()

    def converge(self) -> None:
        """Do what the plan says, and come back when the next place is due."""
        wanted = () if self._closing else self._wanted
        for _ in range(_ROUNDS):
            now = time.monotonic()
            for act in plan(wanted, [place.running(now) for place in self._places.values()]):
                self._do(act)
        if self._connected and not self._closing:
            self._pool.keep_spare()
        self._plan_next()

    def _do(self, act: Act) -> None:
        match act:
            case Start(assigned):
                self._numbers += 1
                place = Place(self._numbers, assigned)
                self._places[place.number] = place
                self._launch(place)
                self._on_change()
            case Restart(number):
                self._launch(self._places[number])
            case Drain(number, drain_s):
                self._drain(self._places[number], drain_s)

    def _launch(self, place: Place) -> None:
        if not self._connected:
            return
        try:
            process = self._pool.take()
        except OSError as error:
            place.failed(None, f"an operator process can't be started: {error.strerror}")
            self._on_change()
            return
        if process is not None:
            place.launched(process)
            self._by_process[process.number] = place
            process.say(StartLine(assigned=place.assigned))
            log.info("%s: started, process %d", _label(place), process.pid)
            self._on_change()

    def _drain(self, place: Place, drain_s: float | None) -> None:
        self._on_change()
        place.draining = True
        if place.process is None:
            del self._places[place.number]
            return
        allowed_s = place.assigned.drain_s if drain_s is None else drain_s
        log.info("%s: draining within %g s", _label(place), allowed_s)
        place.process.say(DrainLine(drain_s=allowed_s))
        self._loop.call_later(allowed_s + GRACE_S, lambda: self._drain_is_over(place))

    def _drain_is_over(self, place: Place) -> None:
        if place.process is not None and place.number in self._places:
            log.warning("%s: hasn't drained in time: ended", _label(place))
            place.process.kill()

    def _heard(self, process: OperatorProcess, said: Said) -> None:
        place = self._by_process.get(process.number)
        match said:
            case Tried(told=told):
                self._trials.heard(process, told)
            case Report(report=report) if place is not None:
                before, place.said = place.said, report
                if before is None or (before.state, before.reason) != (report.state, report.reason):
                    self._on_change()
            case Log(lines=lines, dropped=dropped) if place is not None:
                self._on_log(place.assigned.operation, lines, dropped)

    def _ended(self, process: OperatorProcess, status: int) -> None:
        place = self._by_process.pop(process.number, None)
        why = process.fault or why_ended(status, process.stderr[-1] if process.stderr else "")
        if place is None:
            self._trials.ended(process, why)
            return
        if place.draining:
            log.info("%s: gone (%s)", _label(place), why)
            del self._places[place.number]
        else:
            place.failed(status, why)
            log.warning("%s: %s", _label(place), place.reason)
        self._on_change()

    def _plan_next(self) -> None:
        """Converge again when the next waiting place or spare is due."""
        self._loop.cancel(self._timer)
        self._timer = None
        if not self._connected or self._closing:
            return
        now = time.monotonic()
        # one that is due already waits for room, of which the pool tells
        due = [p.due_at for p in self._places.values() if p.process is None and p.due_at > now]
        if (spare := self._pool.spare_due_at) is not None and spare > now:
            due.append(spare)
        if due:
            self._timer = self._loop.call_later(max(0.0, min(due) - now), self._converge_by_timer)

    def _converge_by_timer(self) -> None:
        self._timer = None
        self.converge()


def _label(place: Place) -> str:
    return f"operation {place.assigned.operation}, revision {place.assigned.revision}"
