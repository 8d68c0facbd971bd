"""What a program writes to stderr: the end of it, and lines for the log, both bounded."""

from collections import deque
from collections.abc import Callable

TAIL_BYTES = 4096
_LINE_CHARACTERS = 1000
#: Read and sent once a second at most.
_KEPT_LINES = 100


def last_text(raw: bytes, limit_bytes: int = TAIL_BYTES) -> str:
    """Return the end of `raw` as text whose UTF-8 is at most `limit_bytes` long."""
    text = raw[-limit_bytes:].decode(errors="ignore")
    if len(raw) <= limit_bytes:
        text = raw.decode(errors="replace")
    return text.encode()[-limit_bytes:].decode(errors="ignore").replace("\0", "")


class Tail:
    """The last 4 KiB of what was fed."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take more in."""
        self._kept += data
        if len(self._kept) > TAIL_BYTES:
            del self._kept[:-TAIL_BYTES]

    def text(self) -> str:
        """Return what is kept: valid UTF-8, at most 4 KiB."""
        return last_text(bytes(self._kept))

    def last_line(self) -> str:
        """Return the last line that says something, or an empty string."""
        lines = [line for line in self.text().splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


class LogLines:
    """The newest lines since they were last taken; what they pushed out is counted."""

    def __init__(self, *, on_first: Callable[[], None] = lambda: None) -> None:
        #: called when there is something to take after there was nothing
        self._on_first = on_first
        self._lines: deque[str] = deque()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take whole lines in, without their last newline."""
        nothing = not self._lines
        lines = data.split(b"\n")
        self._lines += [
            line[: 4 * _LINE_CHARACTERS].decode(errors="replace")[:_LINE_CHARACTERS]
            for line in lines[-_KEPT_LINES:]
        ]
        self._dropped += max(0, len(lines) - _KEPT_LINES)
        while len(self._lines) > _KEPT_LINES:
            self._lines.popleft()
            self._dropped += 1
        if nothing:
            self._on_first()

    def take(self) -> tuple[tuple[str, ...], int]:
        """Return the lines since the last time, and how many were left out before them."""
        lines, dropped = tuple(self._lines), self._dropped
        self._lines.clear()
        self._dropped = 0
        return lines, dropped


class Stderr:
    """One program's stderr: its tail, and its lines into the common log."""

    _LONGEST = 8192

    def __init__(self, log: LogLines) -> None:
        self.tail = Tail()
        self._log = log
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        self.tail.feed(data)
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._log.add(whole)
        self._rest = rest[-self._LONGEST :]

    def end(self) -> None:
        """Take the last line, that lacks its newline, too."""
        if self._rest:
            self._log.add(self._rest)
            self._rest = b""
