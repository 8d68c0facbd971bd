"""`single`: one process for each message."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

from agent.operator.child import Child, Exit
from agent.operator.command import message_environment
from agent.operator.fate import Failure
from agent.operator.intake import Item
from agent.operator.parts import Parts
from agent.operator.payload import from_stdout, kept_headers, to_stdin
from agent.operator.sequencer import Sequencer
from agent.operator.spawn import CannotRunError
from streams.definition import Order

EX_DATAERR, EX_TEMPFAIL = 65, 75
CANNOT_RUN = frozenset({126, 127})
#: Outputs that wait for an earlier one: beyond this, only that one may be worked on.
_HELD_BYTES = 16 * 1024 * 1024


def single_prefetch(concurrency: int | None) -> int:
    """Return how many inputs to have in hand: a process that ends must find the next one there."""
    return max(64, 4 * (concurrency or 1))


class Verdict(Enum):
    """What an exit means for the message."""

    OUTPUT = "output"
    FAILED = "failed"
    LATER = "later"
    BAD = "bad"
    CANNOT_RUN = "cannot run"


def judge(code: int) -> Verdict:
    """Return what an exit status means (a signal is a negative one)."""
    if code == 0:
        return Verdict.OUTPUT
    if code in CANNOT_RUN:
        return Verdict.CANNOT_RUN
    return {EX_DATAERR: Verdict.BAD, EX_TEMPFAIL: Verdict.LATER}.get(code, Verdict.FAILED)


@dataclass(slots=True, eq=False)
class _Run:
    item: Item
    deadline: float | None
    child: Child | None = None
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    #: why the program was ended by us
    cut: str = ""


#: A body and its content type.
_Output = tuple[bytes, str | None]


class Single:
    """Keeps `concurrency` processes busy; outputs leave in order, or as they come."""

    def __init__(self, parts: Parts, *, concurrency: int) -> None:
        self._parts = parts
        self._concurrency = concurrency
        self._fifo = parts.definition.order is Order.FIFO
        self._sequencer: Sequencer[tuple[Item, _Output | None]] = Sequencer()
        self._held_bytes = 0
        self._oldest = 1
        self._again: deque[Item] = deque()
        #: in the order of their start, so of their deadlines
        self._runs: dict[int, _Run] = {}
        self._timer: object = None
        self._killed = False

    def objection(self, _item: Item) -> str | None:
        """Take any input."""
        return None

    def pump(self) -> None:
        """Start processes while there are inputs, slots and room."""
        while self._may_start():
            item = self._next()
            if item is None or not self._start(item):
                return

    def skip(self, item: Item) -> None:
        """Let the outputs behind this one pass."""
        self._settle(item, None)

    def finish(self, then: Callable[[], None]) -> None:
        """Call back: no process runs without an input."""
        then()

    def kill(self) -> None:
        """End all processes at once; what comes of them counts no more."""
        self._killed = True
        for run in self._runs.values():
            if run.child is not None:
                run.child.kill()

    def _may_start(self) -> bool:
        health = self._parts.health
        if health.waiting or self._parts.outbox.full or self._killed:
            return False
        return len(self._runs) < (1 if health.failed else self._concurrency)

    def _next(self) -> Item | None:
        if self._held_bytes > _HELD_BYTES:
            oldest = [item for item in self._again if item.tag == self._oldest]
            if oldest:
                self._again.remove(oldest[0])
                return oldest[0]
            waiting = self._parts.intake.waiting
            if not (waiting and waiting[0].tag == self._oldest):
                return None
        return self._again.popleft() if self._again else self._parts.intake.take()

    def _start(self, item: Item) -> bool:
        timeout = self._parts.definition.timeout
        run = _Run(item, monotonic() + timeout if timeout else None)
        came = item.properties
        try:
            run.child, _ = self._parts.launcher.start(
                message_environment(
                    message_id=came.message_id,
                    attempt=item.failures + 1,
                    content_type=came.content_type,
                    traceparent=(came.headers or {}).get("traceparent"),
                ),
                to_stdin(item.body, came.content_type),
                on_output=lambda data: self._output(run, data),
                on_end=lambda exit_: self._ended(run, exit_),
            )
        except CannotRunError as error:
            self._again.appendleft(item)
            self._parts.health.broken(str(error))
            return False
        self._runs[item.tag] = run
        self._arm()
        return True

    def _output(self, run: _Run, data: bytes) -> None:
        run.size += len(data)
        if run.size <= self._parts.max_output_bytes + 1:  # a text's last newline isn't output
            run.pieces.append(data)
        elif not run.cut and run.child is not None:
            run.cut = self._parts.too_much
            run.pieces.clear()
            run.child.kill()

    def _ended(self, run: _Run, exit_: Exit) -> None:
        if self._killed:
            return
        del self._runs[run.item.tag]
        self._parts.tally.exited(exit_.label)
        verdict = Verdict.FAILED if run.cut else judge(exit_.code)
        if verdict is Verdict.CANNOT_RUN:
            self._again.appendleft(run.item)
            self._parts.health.broken(_cannot_run(run, exit_))
            return
        self._parts.health.works()
        self.pump()  # the next program may work while this one's output leaves
        if verdict is Verdict.OUTPUT:
            self._answer(run)
        else:
            self._fail(run, exit_, verdict)

    def _answer(self, run: _Run) -> None:
        came = run.item.properties
        declared = self._parts.definition.output_content_type or came.content_type
        body, content_type = from_stdout(b"".join(run.pieces), declared)
        if len(body) > self._parts.max_output_bytes:
            run.cut = self._parts.too_much
            self._fail(run, Exit(0), Verdict.FAILED)
            return
        self._settle(run.item, (body, content_type))

    def _settle(self, item: Item, output: _Output | None) -> None:
        """Take what came of an input; None: it went to the dead letters."""
        if not self._fifo:
            self._leave(item, output)
            return
        self._held_bytes += _size(output)
        for due, held in self._sequencer.settle(item.tag, (item, output)):
            self._oldest = due.tag + 1
            self._held_bytes -= _size(held)
            self._leave(due, held)

    def _leave(self, item: Item, output: _Output | None) -> None:
        if output is None:
            return
        body, content_type = output
        if not body:
            self._parts.intake.done(item)
            return
        came = item.properties
        self._parts.outbox.publish(
            body,
            lambda: self._parts.intake.done(item),
            content_type=content_type,
            headers=kept_headers(came.headers),
            message_id=came.message_id,
            correlation_id=came.correlation_id,
            gather=bool(self._runs),
        )

    def _fail(self, run: _Run, exit_: Exit, verdict: Verdict) -> None:
        failure = Failure(
            reason=run.cut or exit_.text,
            exit_status=exit_.label,
            stderr=run.child.errors.tail.text() if run.child is not None else "",
            final=verdict is Verdict.BAD,
            blamed=verdict is not Verdict.LATER,
        )
        if not self._parts.fate.failed(run.item, failure, again=self._retry):
            self._settle(run.item, None)

    def _retry(self, item: Item) -> None:
        self._again.append(item)
        self.pump()

    def _arm(self) -> None:
        """Have one timer for the process that must end first."""
        first = next((run for run in self._runs.values() if not run.cut), None)
        if self._timer is None and first is not None and first.deadline is not None:
            self._timer = self._parts.loop.call_later(
                max(0.0, first.deadline - monotonic()), self._overdue
            )

    def _overdue(self) -> None:
        self._timer = None
        now = monotonic()
        for run in self._runs.values():
            if run.deadline is None or run.deadline > now:
                break
            if not run.cut and run.child is not None:
                run.cut = f"no answer within {self._parts.definition.timeout:g} s (timeout)"
                run.child.end()
        self._arm()


def _cannot_run(run: _Run, exit_: Exit) -> str:
    said = run.child.errors.tail.last_line() if run.child is not None else ""
    return f"the program can't be run ({exit_.text})" + (f": {said}" if said else "")


def _size(output: _Output | None) -> int:
    return len(output[0]) if output is not None else 0
