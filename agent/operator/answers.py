"""`replies: one`: the answers of one worker, each for the oldest input that has none yet."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from agent.operator.intake import Item
from agent.operator.worker import Worker
from streams.errors import FramingError
from streams.framing import Decoder, Framing

_MOST_INPUTS = 1000
SURPLUS = "answered without being asked: 'replies: one' is one answer each"
_MOST_BYTES = 16 * 1024 * 1024


class Answers:
    """What one worker was asked and hasn't answered."""

    def __init__(
        self,
        framing: Framing,
        *,
        max_bytes: int,
        on_answers: Callable[[list[tuple[Item, bytes]]], None],
    ) -> None:
        self._framing = framing
        self._max = max_bytes
        self._on_answers = on_answers
        self._asked: deque[Item] = deque()
        self._bytes = 0
        self._decoder = Decoder(framing, max_frame_bytes=max_bytes)
        #: since when the program owes the next answer
        self.since = 0.0

    @property
    def load(self) -> int:
        """How many inputs are in the program."""
        return len(self._asked)

    @property
    def first(self) -> Item | None:
        """The input whose answer comes next."""
        return self._asked[0] if self._asked else None

    @property
    def room(self) -> int:
        """How many more inputs may be fed."""
        return _MOST_INPUTS - len(self._asked) if self._bytes < _MOST_BYTES else 0

    def begin(self, worker: Worker) -> None:
        """Start with a fresh program."""
        self._worker = worker
        self._decoder = Decoder(self._framing, max_frame_bytes=self._max)

    def feed(self, items: Sequence[Item]) -> None:
        """Ask the program."""
        if not self._asked:
            self.since = monotonic()
        self._asked += items
        self._bytes += sum([item.size for item in items])
        self._worker.feed_items(self._framing, items)

    def written(self) -> None:
        """Do nothing: only answers count."""

    def output(self, data: bytes) -> None:
        """Take in what the program wrote; empty: it closed its stdout.

        Raises:
            FramingError: that isn't one answer for each input.
        """
        if not data:
            self._worker.fell_silent()
            return
        self._match(self._decoder.feed(data))

    def ended(self, *, clean: bool, alone: bool) -> list[Item]:  # noqa: ARG002 - as in `Line`
        """Return the inputs that the program, which has ended, left without an answer."""
        if clean:
            with suppress(FramingError):
                last = self._decoder.finish()
                self._match([last] if last is not None else [])
        undone = list(self._asked)
        self._asked.clear()
        self._bytes = 0
        return undone

    def ask(self) -> None:
        """Do nothing: an answer is the only sign."""

    def give_up_turn(self) -> None:
        """Do nothing: answers are put in order one by one."""

    def _match(self, frames: list[bytes]) -> None:
        if not frames:
            return
        asked = self._asked
        problem = SURPLUS if len(frames) > len(asked) else ""
        answers: list[tuple[Item, bytes]] = []
        for frame in frames[: len(asked)]:
            if len(frame) > self._max:
                problem = f"a frame of more than {self._max} bytes"
                break
            item = asked.popleft()
            self._bytes -= item.size
            answers.append((item, frame))
        if answers:
            self.since = monotonic()
            self._on_answers(answers)
        if problem:
            raise FramingError(problem)
