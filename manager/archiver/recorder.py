"""One stream's recording: taken up, taken over, cut into segments, stored, acknowledged."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from manager.archiver.clerk import Clerk
from manager.archiver.jobs import Jobs
from manager.archiver.pace import Pace
from manager.archiver.spool import Segment
from manager.archiver.tape import Tape
from manager.archiver.vault import Tail, Vault
from manager.model import Stored
from streams import names
from streams.backoff import backoff_s
from streams.broker import Delivered, EventLoop, Feed, LoopConnection
from streams.broker.properties import from_properties
from streams.errors import QueueMissingError, StreamsError

log = structlog.get_logger()
#: A segment is closed after so long, if it isn't full before.
SEGMENT_AGE_S = 10.0
_PATIENCE = 6
_FIRST_S, _LONGEST_S = 1.0, 60.0


@dataclass(slots=True)
class Means:
    """What the recorders of an archiver share; `connection` is None while there is none."""

    loop: EventLoop
    jobs: Jobs
    vault: Vault
    clerk: Clerk
    connection: LoopConnection | None = None


class Recorder:
    """Records one stream while this archiver is the one that gets its messages."""

    def __init__(self, stream: str, means: Means) -> None:
        self.stream, self._means = stream, means
        self._queue = names.archive_queue(stream)
        self._feed: Feed | None = None
        self._tape: Tape | None = None
        self._early: list[Delivered] = []
        self._early_bytes = 0
        self._storing = self._finishing = False
        self._mark: str | None = None
        self._since_s = 0.0
        self._failures = self._round = 0
        self._pace = Pace()
        self._problem: str | None = None
        self._unknown: Stored | None = None

    @property
    def spooled_bytes(self) -> int:
        """How much it has on disk or in memory that isn't on its way to S3 yet."""
        return self._early_bytes + (self._tape.segment.size_bytes if self._tape else 0)

    @property
    def idle(self) -> bool:
        """Whether it has nothing that could be stored."""
        tape = self._tape
        return not self._storing and not self._early and not (tape and _storable(tape))

    # ---- its life

    def take_up(self) -> None:
        """Consume, once S3 has said that it is there."""
        self._job(partial(self._look, repeats=False), self._consume)

    def let_go(self, reason: StreamsError | None = None) -> None:
        """Give everything that isn't stored back to the queue.

        With a `reason` it is taken up again after a while.
        """
        self._round += 1
        if self._feed is not None:
            self._feed.close()
        if self._tape is not None:
            self._tape.discard()
        self._feed = self._tape = self._mark = None
        self._early, self._early_bytes = [], 0
        self._storing = False
        if reason is not None:
            self._tell(str(reason))
            self._failures += 1
            wait_s = backoff_s(self._failures, first_s=_FIRST_S, longest_s=_LONGEST_S)
            self._later(wait_s, self.take_up)

    def finish(self) -> None:
        """Take nothing more, and store what there is."""
        self._finishing = True
        self.tick(due=True)

    def tick(self, *, due: bool = False) -> None:
        """Close a segment that is old enough, or any, if it is `due`."""
        if self._tape is None or self._storing or not self._tape.taken:
            return
        if self._finishing and not _storable(self._tape):
            return
        # what comes again comes at once: it is worth some patience to see whether all of it does
        age_s = SEGMENT_AGE_S * (_PATIENCE if self._tape.repeating else 1)
        if due or self._mark is not None or time.monotonic() - self._since_s >= age_s:
            with self._disk():
                self._store(self._tape.cut(), self._tape.tag)

    # ---- deliveries

    def _look(self, *, repeats: bool) -> Tail:
        """Return where the archive ends. Runs on a thread."""
        return self._means.vault.tail(
            self.stream, self._means.clerk.tally(self.stream), repeats=repeats
        )

    def _consume(self, tail: Tail) -> None:
        tail.close()
        if self._means.connection is None or self._finishing:
            return
        self._feed = Feed(
            self._means.connection,
            self._queue,
            prefetch=self._pace.prefetch,
            on_fed=self._fed,
            on_ended=self._ended,
        )

    def _fed(self, delivered: Delivered) -> None:
        if self._finishing:
            return
        if self._tape is None:
            self._wait(delivered)
        else:
            with self._disk():
                self._take(self._tape, delivered)

    def _wait(self, delivered: Delivered) -> None:
        """Keep what comes until it is known where the archive goes on.

        Only who gets messages may ask: until then another archiver may have written.
        """
        if not self._early:
            self._job(partial(self._look, repeats=delivered.redelivered), self._take_over)
        self._early.append(delivered)
        self._early_bytes += len(delivered.body)
        if self._pace.is_too_much_early(self._early_bytes):
            self._pace.shrink(len(self._early), self._early_bytes)
            self._begin_anew()

    def _take_over(self, tail: Tail) -> None:
        self._tape = Tape(self._means.vault.folder, self.stream, tail)
        self._unknown = tail.unknown
        early, self._early, self._early_bytes = self._early, [], 0
        with self._disk():
            for delivered in early:
                if self._tape is not None:
                    self._take(self._tape, delivered)
        if self._finishing:
            self.tick(due=True)

    def _take(self, tape: Tape, delivered: Delivered) -> None:
        if not tape.taken:
            self._since_s = time.monotonic()
        if delivered.exchange == names.CONTROL_EXCHANGE:
            tape.skip(delivered.tag)
            self._mark = delivered.body.decode(errors="replace")
            self.tick()
            return
        repeating = tape.repeating
        tape.add(delivered.tag, from_properties(delivered.properties, delivered.body))
        if repeating and not tape.repeating and not tape.segment.records:
            # all of the last segment came again: acknowledged before anything else is stored, so
            # that one segment at most is ever in doubt
            self.tick(due=True)
        elif self._pace.is_full(tape):
            self.tick(due=True)
            if self._pace.is_too_much(tape):
                self._pace.shrink(tape.taken, tape.segment.size_bytes)
                self._begin_anew()

    def _begin_anew(self) -> None:
        log.info("another pace", stream=self.stream, prefetch=self._pace.prefetch)
        self.let_go()
        self._later(0.0, self.take_up)

    # ---- storing

    def _store(self, segment: Segment, tag: int) -> None:
        mark, self._mark = self._mark, None
        self._storing = True
        if segment.records:
            work = partial(self._means.vault.store, segment)
            self._job(work, lambda stored: self._acknowledge(tag, mark, stored))
        else:
            self._acknowledge(tag, mark, None)

    def _acknowledge(self, tag: int, mark: str | None, stored: Stored | None) -> None:
        if self._feed is not None:
            self._feed.ack(tag)
            # the next is stored when the broker has seen it: one segment at most comes again
            self._feed.flush(lambda: self._acknowledged(mark, stored))

    def _acknowledged(self, mark: str | None, stored: Stored | None) -> None:
        self._storing = False
        self._failures = 0
        self._tell("")
        # what was found in S3 is told only now: until then nobody knows it for acknowledged
        for told in (self._unknown, stored):
            if told is not None:
                self._means.clerk.stored(self.stream, told)
        self._unknown = None
        if mark is not None:
            self._means.clerk.end(self.stream, mark)
        if stored is not None and not self._finishing and self._pace.grow_after(stored):
            self._begin_anew()
        elif self._tape is not None:
            self.tick(due=self._finishing or self._pace.is_full(self._tape))

    # ---- failures

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Let go where the disk is full: what is on it is given back."""
        try:
            yield
        except OSError as error:
            self.let_go(StreamsError(f"the archiver's disk: {error.strerror or error}"))

    def _ended(self, error: StreamsError) -> None:
        if isinstance(error, QueueMissingError):
            self._means.clerk.end(self.stream, None)
        self.let_go(error)

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            if problem:
                log.warning("not archived just now", stream=self.stream, reason=problem)
            self._means.clerk.problem(self.stream, problem)

    def _job(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run `work`, and go on with `then`, unless all was let go in between."""
        started = self._round

        def go_on(result: Any) -> None:
            if started == self._round:
                then(result)
            elif isinstance(result, Tail):
                result.close()

        def failed(error: StreamsError) -> None:
            if started == self._round:
                self.let_go(error)

        self._means.jobs.run(work, go_on, failed)

    def _later(self, wait_s: float, then: Callable[[], None]) -> None:
        started = self._round
        self._means.loop.call_later(wait_s, lambda: then() if started == self._round else None)


def _storable(tape: Tape) -> bool:
    """Say whether a tape holds something to store, or only what may be stored already."""
    return bool(tape.taken) and not tape.repeating
