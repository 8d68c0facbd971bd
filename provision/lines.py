"""A command's output as it comes: whole lines for whoever watches, its end for whoever asks."""

import codecs
from collections import deque
from collections.abc import Callable

#: How much of a command's output is kept, and of a line without an end.
_MOST_KEPT, _LONGEST_LINE = 1_000_000, 10_000
#: How many lines go into an error.
_TAIL = 20


class Lines:
    """Bytes in, lines out: each goes to `on_line`, without its newline, when it is complete."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""
        self._last = deque[str](maxlen=_TAIL)
        self._kept = deque[str]()
        self._kept_size = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece of output."""
        self._take(self._decoder.decode(data))

    def end(self) -> None:
        """Say that there is no more: a last line may lack its newline."""
        self._take(self._decoder.decode(b"", final=True))
        if self._begun:
            self._emit(self._begun)
            self._begun = ""

    def text(self) -> str:
        """Return all output, of long output the last million characters."""
        return "".join(self._kept)

    def tail(self) -> str:
        """Return the last 20 lines."""
        return "\n".join(self._last)

    def _take(self, text: str) -> None:
        self._keep(text)
        *whole, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > _LONGEST_LINE:
            whole, self._begun = [*whole, self._begun], ""
        for line in whole:
            self._emit(line)

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._kept_size += len(text)
        while self._kept_size - len(self._kept[0]) >= _MOST_KEPT:
            self._kept_size -= len(self._kept.popleft())

    def _emit(self, line: str) -> None:
        # of a progress bar that draws over itself, what would be seen
        seen = line.rstrip("\r").rpartition("\r")[2]
        self._last.append(seen)
        if self._on_line:
            self._on_line(seen)
