"""A place for one worker of a service: started, fed, and started again with what it left undone."""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from agent.operator.child import Exit
from agent.operator.fate import Failure
from agent.operator.intake import Item
from agent.operator.parts import Parts
from agent.operator.run import CANNOT_RUN
from agent.operator.settle import Settling
from agent.operator.worker import Worker
from streams.errors import FramingError

#: A program that lives so long has started.
_STEADY_S = 5.0
#: How long a program may take to ask for its first input before it gets a suspect unasked.
_READY_S = 60.0
_READY_POLL_S = 0.01


class Line(Protocol):
    """How inputs and outputs of a worker belong together: `Answers` or `Windows`."""

    since: float

    @property
    def load(self) -> int:
        """How many inputs are in the program."""

    @property
    def first(self) -> Item | None:
        """The oldest of them."""

    @property
    def room(self) -> int:
        """How many more may be fed."""

    def begin(self, worker: Worker) -> None:
        """Start with a fresh program."""

    def feed(self, items: Sequence[Item]) -> None:
        """Give inputs to the program, not more than there is room for."""

    def written(self) -> None:
        """Hear that something went into its pipe."""

    def output(self, data: bytes) -> None:
        """Take in what it wrote."""

    def ask(self) -> None:
        """See whether it is done."""

    def ended(self, *, clean: bool, alone: bool) -> list[Item]:
        """Return what a program that ended left undone."""

    def give_up_turn(self) -> None:
        """Let outputs of others go first: nothing here is left to be done."""


class Slot:
    """One worker at a time.

    After a crash what was undone is fed alone, one by one, each only when the program has shown
    that it waits for input: then its death is that input's fault, and not the program's own.
    """

    def __init__(
        self,
        parts: Parts,
        line: Line,
        *,
        make_settling: Callable[[int], Settling],
        on_ended: Callable[["Slot", Exit, bool], None],
        on_free: Callable[[], None],
        on_buried: Callable[[Item], None],
        hands_over: Callable[[Item], None] | None,
    ) -> None:
        self._parts = parts
        self.line = line
        self._make_settling = make_settling
        self._on_ended = on_ended
        self._on_free = on_free
        self._on_buried = on_buried
        self._hands_over = hands_over
        self.worker: Worker | None = None
        self.todo: deque[Item] = deque()
        #: feed one by one
        self.careful = False
        #: the one being tried, when it was fed alone to a program that waited for it
        self._alone: Item | None = None
        self._stalled = False
        self._ready = False
        self._started_at = 0.0
        self._timer: object = None
        self._ready_timer: object = None
        self.progress = False
        #: how the last worker ended, in a line
        self.last_words = ""

    @property
    def idle(self) -> bool:
        """Whether nothing is left for it to do."""
        return not self.todo and not self.line.load and not self._stalled

    @property
    def free(self) -> bool:
        """Whether it takes a new input."""
        worker = self.worker
        return (
            worker is not None
            and not worker.cut
            and worker.room
            and not self.careful
            and not self.todo
            and self.line.room > 0
        )

    def start(self) -> None:
        """Start a worker.

        Raises:
            CannotRunError: the kernel refused.
        """
        self._ready = self.progress = False
        self._started_at = monotonic()
        worker = Worker(
            self._parts.launcher,
            on_output=self._output,
            on_written=self._written,
            on_end=self._ended,
        )
        self.worker = worker
        worker.child.on_read = self.line.ask
        self.line.begin(worker)
        self._settling = self._make_settling(worker.pid)

    def feed(self, items: Sequence[Item]) -> None:
        """Give the worker inputs, not more than there is room for."""
        self.line.feed(items)
        self._arm()

    def feed_undone(self) -> None:
        """Give the worker what was left undone: all of it, or what may be next of it now."""
        worker = self.worker
        if worker is None or worker.cut or self._stalled:
            return
        if not self.careful:
            while self.todo and worker.room and self.line.room:
                self.feed((self.todo.popleft(),))
        elif not self.line.load:
            self._feed_suspect()

    def _feed_suspect(self) -> None:
        if not self.todo:
            self._relax()
        elif not self._ready:
            self._look_ready()
        else:
            self._alone = self.todo.popleft()
            self.feed((self._alone,))

    def through(self) -> None:
        """Note that the worker has done something it was given."""
        self.progress = self._ready = True
        culprit, self._alone = self._alone, None
        if culprit is not None and culprit.failures:
            self.careful = False  # the culprit is through
        if not self.line.load and not self.todo:
            self._relax()

    def pause(self, *, paused: bool) -> None:
        """Leave the worker's output in its pipe for now; meanwhile no time runs against it."""
        if self.worker is None:
            return
        lost_s = self.worker.child.pause_output(paused=paused)
        if lost_s:
            self.line.since = min(monotonic(), self.line.since + lost_s)
            if self._timer is None:
                self._due()

    def close(self) -> None:
        """End the worker's input."""
        if self.worker is not None:
            self.worker.close()

    def kill(self) -> None:
        """End the worker at once; what comes of it counts no more."""
        if self.worker is not None:
            child, self.worker = self.worker.child, None
            child.kill()

    def _relax(self) -> None:
        self.careful = False
        self.line.give_up_turn()

    def _output(self, data: bytes) -> None:
        worker = self.worker
        if worker is None or worker.cut:
            return
        try:
            self.line.output(data)
        except FramingError as error:
            worker.cut_off(str(error), at_once=True)

    def _written(self) -> None:
        self.line.written()
        worker = self.worker
        if self.free or (self.todo and worker is not None and worker.room):
            self._on_free()

    def _look_ready(self) -> None:
        """Wait until the program waits for input."""
        self._ready_timer = None
        worker = self.worker
        if worker is None or worker.cut or self._ready or not self.careful:
            return
        now = monotonic()
        timeout = self._parts.definition.timeout or _READY_S
        if self._settling.settled(now) or now - self._started_at > timeout:
            self._ready = True
            self.feed_undone()
        elif self._ready_timer is None:
            self._ready_timer = self._parts.loop.call_later(_READY_POLL_S, self._look_ready)

    def _ended(self, exit_: Exit) -> None:
        worker, self.worker = self.worker, None
        if worker is None:
            return
        alone, self._alone = self._alone, None
        clean = exit_.code == 0 and not worker.cut
        read = alone is not None and not worker.ignored_input
        undone = self.line.ended(clean=clean, alone=read)
        if alone is not None and not undone:
            self.through()
        self.last_words = _last_words(worker, exit_)
        self.progress |= monotonic() - self._started_at > _STEADY_S
        cannot_run = exit_.code in CANNOT_RUN and not self.progress and not worker.cut
        if alone is not None and undone == [alone] and not cannot_run:
            self.progress = True  # of a kind: one is known to be at fault
            self._blame(alone, exit_, worker)
        elif undone:
            self.careful = True
            self.todo.extendleft(reversed(undone))
        self._on_ended(self, exit_, cannot_run)

    def _blame(self, item: Item, exit_: Exit, worker: Worker) -> None:
        failure = Failure(
            reason=worker.cut or f"the program ended: {exit_.text}",
            exit_status=exit_.label,
            stderr=worker.child.errors.tail.text(),
        )
        if not self._parts.fate.failed(item, failure, again=self._again):
            self.careful = False
            self._on_buried(item)
            if self.idle:
                self._relax()
        elif self._hands_over is None:
            self._stalled = True

    def _again(self, item: Item) -> None:
        if self._hands_over is not None:
            self._hands_over(item)
            return
        self._stalled = False
        self.careful = True
        self.todo.appendleft(item)
        self._on_free()

    def take_over(self, item: Item) -> None:
        """Try an input that failed elsewhere."""
        self.careful = True
        self.todo.append(item)

    def _arm(self) -> None:
        timeout = self._parts.definition.timeout
        if timeout is not None and self._timer is None:
            self._timer = self._parts.loop.call_later(timeout, self._due)

    def _due(self) -> None:
        """End a worker that owes something for too long; a lazy timer for all its inputs."""
        self._timer = None
        timeout = self._parts.definition.timeout
        worker = self.worker
        if timeout is None or worker is None or worker.cut or not self.line.load:
            return
        if worker.child.paused:
            return  # it waits for us: the time goes on when it is read again
        left = self.line.since + timeout - monotonic()
        if left > 0:
            self._timer = self._parts.loop.call_later(left, self._due)
        else:
            worker.cut_off(f"no answer within {timeout:g} s (timeout)")


def _last_words(worker: Worker, exit_: Exit) -> str:
    said = worker.child.errors.tail.last_line()
    reason = worker.cut or f"the program ended: {exit_.text}"
    return f"{reason}: {said}" if said else reason
