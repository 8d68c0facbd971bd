"""`single`: one process for each message."""

from collections import deque
from collections.abc import Callable
from time import monotonic

from agent.operator.batch import Batch
from agent.operator.child import Exit
from agent.operator.command import message_environment
from agent.operator.intake import Item
from agent.operator.output import Answer, Output
from agent.operator.parts import Parts
from agent.operator.payload import kept_headers, to_stdin
from agent.operator.run import Run, Verdict
from agent.operator.sequencer import Sequencer
from agent.operator.spawn import CannotRunError
from streams.definition import Order
from streams.message import OBJECT_REFERENCE

#: Outputs that wait for an earlier one: beyond this, only that one may be worked on.
_HELD_BYTES = 16 * 1024 * 1024


def single_prefetch(concurrency: int | None) -> int:
    """Return how many inputs to have in hand: a process that ends must find the next one there."""
    return max(64, 4 * (concurrency or 1))


class Single:
    """Keeps `concurrency` processes busy; outputs leave in order, or as they come."""

    def __init__(self, parts: Parts, *, concurrency: int) -> None:
        self._parts = parts
        self._concurrency = concurrency
        self._fifo = parts.definition.order is Order.FIFO
        self._sequencer: Sequencer[tuple[Item, Answer | None]] = Sequencer()
        self._held_bytes = 0
        self._oldest = 1
        self._again: deque[Item] = deque()
        self._runs: dict[int, Run] = {}
        #: those that ended well, with an output on its way into S3
        self._leaving: dict[int, Run] = {}
        #: those whose output couldn't be stored: nothing else is begun before they are through
        self._unstored: set[int] = set()
        self._timer: object = None
        self._killed = False
        parts.storage.health.on_try = self.pump

    @property
    def busy(self) -> bool:
        """Whether a process runs, or the output of one is being stored."""
        return bool(self._runs or self._leaving)

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way to the outbox but what inputs in hand stand for."""
        return True

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
        for run in (*self._runs.values(), *self._leaving.values()):
            run.output.drop()
            if run.child is not None:
                run.child.kill()

    def _may_start(self) -> bool:
        health = self._parts.health
        if health.waiting or self._parts.outbox.full or self._killed:
            return False
        if self._unstored and self._parts.storage.health.waiting:
            return False
        busy = len(self._runs) + len(self._leaving)
        return busy < (1 if health.failed or self._unstored else self._concurrency)

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
        run = self._make_run(item)
        came = item.properties
        try:
            run.child, _ = self._parts.launcher.start(
                message_environment(
                    message_id=came.message_id,
                    attempt=item.failures + 1,
                    content_type=item.content_type,
                    traceparent=(came.headers or {}).get("traceparent"),
                ),
                item.spool or to_stdin(item.body, came.content_type),
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

    def _make_run(self, item: Item) -> Run:
        definition = self._parts.definition
        timeout = definition.timeout
        output = Output(
            self._parts.storage,
            definition.output_content_type or item.content_type,
            on_full=lambda full: self._full(run, full=full),
            on_failed=lambda: self._not_stored(run),
        )
        run = Run(item, output, monotonic() + timeout if timeout else None)
        return run

    def _output(self, run: Run, data: bytes) -> None:
        if run.cut:
            return
        if run.output.size + len(data) <= self._parts.max_output_bytes + run.output.grace:
            run.output.write(data)
        else:
            run.cut_off(self._parts.too_much)

    def _full(self, run: Run, *, full: bool) -> None:
        run.pause(paused=full)
        self._arm()

    def _ended(self, run: Run, exit_: Exit) -> None:
        if self._killed:
            return
        del self._runs[run.item.tag]
        self._parts.tally.exited(exit_.label)
        verdict = run.verdict(exit_)
        if verdict is not Verdict.OUTPUT:
            run.output.drop()
        if verdict is Verdict.CANNOT_RUN:
            self._again.appendleft(run.item)
            self._parts.health.broken(run.problem(exit_))
            return
        self._parts.health.works()
        if run.unstored:
            self._again.appendleft(run.item)
        self.pump()  # the next program may work while this one's output leaves
        if verdict is Verdict.OUTPUT:
            self._leaving[run.item.tag] = run
            run.output.answer(lambda answer: self._answer(run, answer))
        elif not run.unstored:
            self._fail(run, exit_)

    def _answer(self, run: Run, answer: Answer) -> None:
        del self._leaving[run.item.tag]
        if self._killed:
            return
        if answer.size > self._parts.max_output_bytes:
            run.cut = self._parts.too_much
            self._fail(run, Exit(0))
            return
        self._stored(run.item)
        self._settle(run.item, answer)
        if answer.content_type == OBJECT_REFERENCE:
            self.pump()

    def _not_stored(self, run: Run) -> None:
        """Run the program again when S3 is tried again."""
        self._unstored.add(run.item.tag)
        run.unstored = True
        if self._leaving.pop(run.item.tag, None) is not None:
            self._again.appendleft(run.item)
        run.cut_off("its output can't be stored")

    def _stored(self, item: Item) -> None:
        """Take it that outputs can be stored again, when the last that wasn't is through."""
        if item.tag in self._unstored:
            self._unstored.discard(item.tag)
            if not self._unstored:
                self._parts.storage.health.works()

    def _settle(self, item: Item, answer: Answer | None) -> None:
        """Take what came of an input; None: it went to the dead letters."""
        if not self._fifo:
            self._leave(item, answer)
            return
        self._held_bytes += _size(answer)
        for due, held in self._sequencer.settle(item.tag, (item, answer)):
            self._oldest = due.tag + 1
            self._held_bytes -= _size(held)
            self._leave(due, held)

    def _leave(self, item: Item, answer: Answer | None) -> None:
        if answer is None:
            return
        if not answer.body:
            self._parts.intake.done((item,))
            return
        came = item.properties
        output = Batch(
            [answer.body],
            lambda _places: self._parts.intake.done((item,)),
            answer.content_type,
            kept_headers(came.headers),
            came.correlation_id,
            [came.message_id],
        )
        self._parts.outbox.publish(output, gather=bool(self._runs))

    def _fail(self, run: Run, exit_: Exit) -> None:
        self._stored(run.item)
        if not self._parts.fate.failed(run.item, run.failure(exit_), again=self._retry):
            self._settle(run.item, None)

    def _retry(self, item: Item) -> None:
        self._again.append(item)
        self.pump()

    def _arm(self) -> None:
        """Have one timer for the process that must end first."""
        if self._timer is None:
            deadlines = [run.deadline for run in self._runs.values() if run.timed]
            first = min((each for each in deadlines if each is not None), default=None)
            if first is not None:
                self._timer = self._parts.loop.call_later(
                    max(0.0, first - monotonic()), self._overdue
                )

    def _overdue(self) -> None:
        self._timer = None
        now = monotonic()
        for run in tuple(self._runs.values()):
            if run.timed and run.deadline is not None and run.deadline <= now:
                timeout = self._parts.definition.timeout
                run.cut_off(f"no answer within {timeout:g} s (timeout)", at_once=False)
        self._arm()


def _size(answer: Answer | None) -> int:
    return len(answer.body) if answer is not None else 0
