"""`service`: workers that are kept running, fed and read at the same time.

With several workers (`concurrency`) `replies: one` puts the answers in order one by one. With
`replies: any` nobody knows which output belongs to which input, so order is kept between windows:
the outputs of a worker's window leave when all windows begun before it are settled.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby

from agent.operator.answers import Answers
from agent.operator.batch import Batch, OnTaken
from agent.operator.child import Exit
from agent.operator.intake import Item
from agent.operator.outlet import Outlet
from agent.operator.pace import FIRST
from agent.operator.parts import Parts
from agent.operator.payload import SERVICE_TYPE, frame_type, kept_headers
from agent.operator.sequencer import Sequencer
from agent.operator.settle import Settling
from agent.operator.slot import Slot
from agent.operator.spawn import CannotRunError
from agent.operator.windows import Turns, Windows
from streams.backoff import backoff_s
from streams.definition import Order, ProcessDefinition, Replies

#: So many deaths in a row without anything done are a crash loop.
_CRASH_LOOP = 3
_FIRST_PAUSE_S = 0.1
#: How long a program may take to end after the end of its input.
_LEAVE_S = 5.0
_HELD_BYTES = 16 * 1024 * 1024
_ONE_PREFETCH = 2000
_MOST_PREFETCH = 20_000


def service_prefetch(definition: ProcessDefinition) -> int:
    """Return how many inputs to have in hand at first."""
    return _ONE_PREFETCH if definition.replies is Replies.ONE else 2 * FIRST


class Service:
    """Shares the inputs among `concurrency` workers."""

    def __init__(self, parts: Parts, *, concurrency: int) -> None:
        self._parts = parts
        definition = parts.definition
        self._type = definition.output_content_type or SERVICE_TYPE
        self._fifo = definition.order is Order.FIFO
        self._one = definition.replies is Replies.ONE
        self._outlet = Outlet(parts.outbox, parts.storage)
        self._outlet.on_room = self.pump
        self._sequencer: Sequencer[tuple[Item, bytes | None]] = Sequencer()
        self._held_bytes = 0
        self._oldest = 1
        self._turns = Turns(self._publish, ordered=self._fifo and concurrency > 1)
        self._again: deque[Item] = deque()
        self._slots = [self._make_slot() for _ in range(concurrency)]
        self._filling: Slot | None = None
        self._deaths = 0
        self._pause: object = None
        self._then: Callable[[], None] | None = None
        self._killed = False

    @property
    def busy(self) -> bool:
        """Whether a worker has something to do."""
        return not all(slot.idle for slot in self._slots)

    @property
    def empty(self) -> bool:
        """Whether all that the workers wrote has gone to the outbox."""
        return self._outlet.empty

    def pump(self) -> None:
        """Start workers that aren't there, and feed those that are."""
        if self._killed or self._then is not None:
            return
        self._start_workers()
        self._balance()
        if self._again and (slot := self._choose()) is not None:
            slot.take_over(self._again.popleft())
        for slot in self._slots:
            slot.feed_undone()
        if self._full or self._held_bytes > _HELD_BYTES:
            return
        intake = self._parts.intake
        while (slot := self._choose()) is not None:
            share = max(1, len(intake.waiting) // len(self._slots))
            items = intake.take_some(min(slot.line.room, share))
            if not items:
                return
            slot.feed(items)

    def skip(self, item: Item) -> None:
        """Let the answers behind this one pass."""
        if self._one:
            self._settle([(item, None)])

    def finish(self, then: Callable[[], None]) -> None:
        """Let the workers see the end of their input and wait until they have ended."""
        self._then = then
        for slot in self._slots:
            slot.close()
        self._parts.loop.call_later(_LEAVE_S, self._hurry)
        self._all_gone()

    def kill(self) -> None:
        """End all workers at once."""
        self._killed = True
        for slot in self._slots:
            slot.kill()

    @property
    def _full(self) -> bool:
        return self._parts.outbox.full or self._outlet.full

    def _make_slot(self) -> Slot:
        parts = self._parts
        slot: Slot
        line: Answers | Windows
        if self._one:
            line = Answers(
                parts.definition.framing,
                max_bytes=parts.max_frame_bytes,
                on_answers=lambda answers: self._answered(slot, answers),
            )
        else:
            line = Windows(
                parts.loop,
                parts.definition.framing,
                self._turns,
                max_bytes=parts.max_frame_bytes,
                make_settling=self._make_settling,
                on_through=parts.intake.done,
                on_settled=lambda: self._settled(slot),
            )
        slot = Slot(
            parts,
            line,
            make_settling=self._make_settling,
            on_ended=self._ended,
            on_free=self.pump,
            on_buried=self.skip,
            hands_over=None if self._fifo else self._hand_over,
        )
        return slot

    def _make_settling(self, pid: int) -> Settling:
        launcher = self._parts.launcher
        return launcher.settling(
            pid, settle_s=self._parts.definition.settle_s, strays=launcher.reaper.strays
        )

    def _start_workers(self) -> None:
        health = self._parts.health
        for slot in self._slots:
            if slot.worker is not None or health.waiting or self._pause is not None:
                continue
            try:
                slot.start()
            except CannotRunError as error:
                health.broken(str(error))
                return
            health.started()

    def _choose(self) -> Slot | None:
        """Return the worker for the next input."""
        if len(self._slots) == 1:
            only = self._slots[0]
            return only if only.free else None
        free = [slot for slot in self._slots if slot.free]
        if not free:
            return None
        if self._one or not self._fifo:
            return min(free, key=lambda slot: slot.line.load)
        # windows follow one another: the last begun goes on, unless a worker has nothing to do
        idle = next((slot for slot in free if not slot.line.load), None)
        if idle is not None:
            self._filling = idle
        return self._filling if self._filling in free else None

    def _hand_over(self, item: Item) -> None:
        self._again.append(item)
        self.pump()

    def _balance(self) -> None:
        """Leave outputs in their pipes while there is no room for them."""
        full = self._full
        crowded = self._held_bytes > _HELD_BYTES
        for slot in self._slots:
            first = slot.line.first
            behind = crowded and first is not None and first.tag != self._oldest
            held = isinstance(slot.line, Windows) and slot.line.holds_too_much
            slot.pause(paused=full or behind or held)

    def _answered(self, slot: Slot, answers: list[tuple[Item, bytes]]) -> None:
        self._settle(answers)
        self._progress(slot)

    def _settled(self, slot: Slot) -> None:
        if not slot.todo:
            slot.line.give_up_turn()
        self._adapt()
        self._progress(slot)

    def _progress(self, slot: Slot) -> None:
        slot.through()
        self._deaths = 0
        self._parts.health.works()
        self.pump()

    def _adapt(self) -> None:
        """Have two windows of each worker at hand."""
        limits = [slot.line.pace.limit for slot in self._slots if isinstance(slot.line, Windows)]
        self._parts.intake.wish = min(_MOST_PREFETCH, max(2 * FIRST, 2 * sum(limits)))

    def _settle(self, answers: Sequence[tuple[Item, bytes | None]]) -> None:
        """Take answers; None: the input went to the dead letters."""
        if not self._fifo:
            self._leave(answers)
            return
        due: list[tuple[Item, bytes | None]] = []
        for item, frame in answers:
            self._held_bytes += len(frame or b"")
            due += self._sequencer.settle(item.tag, (item, frame))
        for _item, held in due:
            self._held_bytes -= len(held or b"")
        if due:
            self._oldest = due[-1][0].tag + 1
            self._leave(due)

    def _leave(self, answers: Sequence[tuple[Item, bytes | None]]) -> None:
        """Publish answers, those together that follow one another and are alike."""
        answered = [(item, frame) for item, frame in answers if frame]
        for _likeness, group in groupby(answered, self._likeness):
            items, frames = zip(*group, strict=True)
            self._publish_answers(items, frames)
        self._parts.intake.done([item for item, frame in answers if frame == b""])

    def _likeness(self, answer: tuple[Item, bytes]) -> object:
        """Return what is equal for answers that leave alike, whatever their ids."""
        item, frame = answer
        came = item.properties
        if came.headers and kept_headers(came.headers):
            return item
        return frame_type(frame, self._type), came.correlation_id

    def _publish_answers(self, items: Sequence[Item], frames: Sequence[bytes]) -> None:
        done, came = self._parts.intake.done, items[0].properties
        self._outlet.publish(
            Batch(
                frames,
                lambda places: done([items[place] for place in places]),
                frame_type(frames[0], self._type),
                kept_headers(came.headers),
                came.correlation_id,
                [item.properties.message_id for item in items],
            )
        )

    def _publish(self, frames: list[bytes], on_taken: OnTaken) -> None:
        usual = self._type
        if all(map(bytes.isascii, frames)):
            self._outlet.publish(Batch(frames, on_taken, usual))
            return
        for kind, group in groupby(frames, lambda frame: frame_type(frame, usual)):
            self._outlet.publish(Batch(list(group), on_taken, kind))

    def _ended(self, slot: Slot, exit_: Exit, cannot_run: bool) -> None:  # noqa: FBT001
        self._parts.tally.exited(exit_.label)
        if self._then is not None:
            self._all_gone()
            return
        if self._killed:
            return
        self._parts.tally.restarts += 1
        self._deaths = 0 if slot.progress else self._deaths + 1
        if cannot_run or self._deaths >= _CRASH_LOOP:
            self._parts.health.broken(slot.last_words)
        elif self._deaths and self._pause is None:
            self._pause = self._parts.loop.call_later(
                backoff_s(self._deaths, first_s=_FIRST_PAUSE_S), self._resume
            )
        self.pump()

    def _resume(self) -> None:
        self._pause = None
        self.pump()

    def _hurry(self) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.child.end()

    def _all_gone(self) -> None:
        if self._then is not None and all(slot.worker is None for slot in self._slots):
            then, self._then = self._then, lambda: None
            then()
