"""`replies: any`: what one worker was fed since it was last seen to have done everything."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from time import monotonic

from agent.operator.batch import OnTaken
from agent.operator.intake import Item
from agent.operator.pace import MOST_BYTES, Pace
from agent.operator.settle import Settling
from agent.operator.worker import Worker
from streams.broker import EventLoop
from streams.errors import FramingError
from streams.framing import Decoder, Framing
from streams.message import MAX_INLINE_BYTES

_POLL_FIRST_S, _POLL_LONGEST_S = 0.001, 0.05
_POLL_SHARE = 0.1
#: How large an input is taken to be, when it is asked how much may come of it.
_AN_INPUT_BYTES = 1024 * 1024

#: Takes outputs, and what to do when the broker has some of them.
Publish = Callable[[list[bytes], OnTaken], None]


class Turn:
    """A window's place among those of other workers: its outputs leave when it is first."""

    def __init__(self) -> None:
        self.held: list[tuple[list[bytes], OnTaken]] = []
        self.held_bytes = 0
        self.over = False


class Turns:
    """Outputs of several workers in the order in which their windows began; or at once."""

    def __init__(self, publish: Publish, *, ordered: bool) -> None:
        self._publish = publish
        self._ordered = ordered
        self._turns: deque[Turn] = deque()

    def begin(self) -> Turn:
        """Enter a window after all others."""
        turn = Turn()
        self._turns.append(turn)
        return turn

    def output(self, turn: Turn | None, frames: list[bytes], on_taken: OnTaken) -> None:
        """Publish, or hold until the window's turn has come."""
        if turn is None or not self._ordered or self._turns[0] is turn:
            self._publish(frames, on_taken)
        else:
            turn.held.append((frames, on_taken))
            turn.held_bytes += sum(map(len, frames))

    def end(self, turn: Turn) -> None:
        """Let the windows behind this one go."""
        turn.over = True
        while self._turns and self._turns[0].over:
            self._turns.popleft()
            if self._turns:
                self._release(self._turns[0])

    def _release(self, turn: Turn) -> None:
        for frames, on_taken in turn.held:
            self._publish(frames, on_taken)
        turn.held.clear()
        turn.held_bytes = 0


@dataclass(slots=True, eq=False)
class _Window:
    """Inputs, and how many of the outputs made from them the broker hasn't confirmed."""

    on_through: Callable[[Sequence[Item]], None]
    began: float
    items: list[Item] = field(default_factory=list)
    input_bytes: int = 0
    output_bytes: int = 0
    unconfirmed: int = 0
    settled: bool = False

    @property
    def most_output_bytes(self) -> int:
        """More can only be a program that never stops; a large input counts as many."""
        return MAX_INLINE_BYTES * max(len(self.items), self.input_bytes // _AN_INPUT_BYTES)

    def taken(self, places: Sequence[int]) -> None:
        """Hear that the broker has some outputs."""
        self.unconfirmed -= len(places)
        if self.settled:
            self.end_if_through()

    def end_if_through(self) -> None:
        """Let go of the inputs when all that was made from them is safe."""
        if self.settled and not self.unconfirmed:
            items, self.items = self.items, []
            self.on_through(items)


class Windows:
    """Feeds one worker in windows; `on_settled` is called when one closes."""

    def __init__(
        self,
        loop: EventLoop,
        framing: Framing,
        turns: Turns,
        *,
        max_bytes: int,
        make_settling: Callable[[int], Settling],
        on_through: Callable[[Sequence[Item]], None],
        on_settled: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._framing = framing
        self._turns = turns
        self._max = max_bytes
        self._make_settling = make_settling
        self._on_through = on_through
        self._on_settled = on_settled
        self._decoder = Decoder(framing, max_frame_bytes=max_bytes)
        self._window = _Window(on_through, 0.0)
        self._turn: Turn | None = None
        self._timer: object = None
        self.pace = Pace()
        #: since when nothing went in or out
        self.since = 0.0

    @property
    def load(self) -> int:
        """How many inputs are in the program."""
        return len(self._window.items)

    @property
    def first(self) -> Item | None:
        """The oldest of them."""
        return self._window.items[0] if self._window.items else None

    @property
    def room(self) -> int:
        """How many more inputs the window takes."""
        window = self._window
        left = self.pace.limit - len(window.items)
        return max(0, left) if window.input_bytes < MOST_BYTES else 0

    @property
    def holds_too_much(self) -> bool:
        """Whether outputs pile up behind another worker's window."""
        return self._turn is not None and self._turn.held_bytes > MOST_BYTES

    def begin(self, worker: Worker) -> None:
        """Start with a fresh program."""
        self._worker = worker
        self._settling = self._make_settling(worker.pid)
        self._decoder = Decoder(self._framing, max_frame_bytes=self._max)

    def feed(self, items: Sequence[Item]) -> None:
        """Put inputs into the window."""
        window = self._window
        if not window.items:
            window.began = self.since = monotonic()
        if self._turn is None:
            self._turn = self._turns.begin()
        window.items += items
        window.input_bytes += sum([item.size for item in items])
        self._worker.feed_items(self._framing, items)
        self._ask_in(_POLL_FIRST_S)

    def written(self) -> None:
        """Note that something went in."""
        self.since = monotonic()

    def output(self, data: bytes) -> None:
        """Take in what the program wrote; empty: it closed its stdout, which it may.

        Raises:
            FramingError: that follows no framing, or is too much.
        """
        if not data:
            return
        self.since = monotonic()
        self._publish(self._decoder.feed(data))
        window = self._window
        window.output_bytes += len(data)
        if window.items and window.output_bytes > window.most_output_bytes:
            raise FramingError(f"more than {MAX_INLINE_BYTES} bytes of output for each input")

    def ended(self, *, clean: bool, alone: bool) -> list[Item]:
        """Return the inputs of the window that a program left open by ending.

        One that was `alone` in a program that ended well is done: so says the exit status.
        """
        self._loop.cancel(self._timer)
        self._timer = None
        if clean:
            with suppress(FramingError):
                last = self._decoder.finish()
                self._publish([last] if last is not None else [])
        window, self._window = self._window, _Window(self._on_through, 0.0)
        window.settled = True
        if clean and alone:
            window.end_if_through()
            return []
        undone, window.items = window.items, []
        return undone

    def give_up_turn(self) -> None:
        """Let others' outputs go: nothing of this turn is left to be done."""
        if self._turn is not None and not self._window.items:
            turn, self._turn = self._turn, None
            self._turns.end(turn)

    def settle(self) -> None:
        """Close the window: all that was made of it has been read."""
        window = self._window
        self.pace.settled(self._settling.quiet_since - window.began)
        window.settled = True
        self._window = _Window(self._on_through, 0.0)
        window.end_if_through()
        self._on_settled()

    def _publish(self, frames: list[bytes]) -> None:
        outputs = [frame for frame in frames if frame]
        if not outputs:
            return
        too_large = max(map(len, outputs)) > self._max
        if too_large:
            outputs = list(takewhile(lambda frame: len(frame) <= self._max, outputs))
        window = self._window
        window.unconfirmed += len(outputs)
        self._turns.output(self._turn, outputs, window.taken)
        if too_large:
            raise FramingError(f"a frame of more than {self._max} bytes")

    def ask(self) -> None:
        """Ask now whether the window is settled; else again soon."""
        if not self._window.items:
            return
        now = monotonic()
        if self._worker.read_all and self._settling.settled(
            now, half=bool(self._decoder.pending_bytes)
        ):
            before = self.since
            self._worker.child.read_all()
            if not self._window.items:
                return  # reading found an end of the program, or of its patience
            if self.since == before or not self._decoder.pending_bytes:
                self.settle()
                return
        self._ask_in(
            min(_POLL_LONGEST_S, max(_POLL_FIRST_S, _POLL_SHARE * (now - self._window.began)))
        )

    def _ask_in(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(delay_s, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self.ask()
