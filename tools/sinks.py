"""Where `consume` puts messages on stdout: a terminal, a pipe or a file."""

import os
import select
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

from streams.broker import EventLoop
from streams.errors import StreamsError
from streams.framing import Framing
from streams.message import Message
from streams.reference import ObjectReference
from tools.shapes import Framed, Json, Seen, Shape
from tools.spool import spool

#: A pipe that takes anything takes so much without blocking (POSIX's PIPE_BUF on Linux).
_PIECE_BYTES = 4096
#: So much of what came is kept ready to be written, and one message or piece of an object more.
_AHEAD_BYTES = 256 * 1024
#: So much is written before the loop has its turn, with others to serve.
_TURN_BYTES = 8 * 1024 * 1024


class Output:
    """Writes to a descriptor, never waiting for whoever reads it: then nothing else would go on.

    `on_closed` is called when nobody reads it any more.
    """

    def __init__(
        self, loop: EventLoop, fd: int, shape: Shape, *, on_closed: Callable[[], None]
    ) -> None:
        self._loop, self._fd, self._shape = loop, fd, shape
        self._on_closed = on_closed
        self._rest = bytearray()
        #: an object on its way, and the file that it is read from
        self._pieces: Iterator[bytes] | None = None
        self._content: BinaryIO | None = None
        #: where each message that isn't written yet ends, counted from the first byte ever
        self._ends: deque[int] = deque()
        self._taken_bytes = self._written_bytes = 0
        self._scheduled = False
        kind = os.fstat(fd).st_mode
        self._file = stat.S_ISREG(kind)
        self._pipe = stat.S_ISFIFO(kind)
        self.on_written: Callable[[int], None] = lambda _number: None
        self._rest_watched = False
        self._watch()

    @property
    def has_room(self) -> bool:
        """Whether another message may be given."""
        return self._pieces is None and len(self._rest) < _AHEAD_BYTES

    def write(self, message: Message) -> None:
        """Write a message together with others that came in the same moment."""
        self._take(self._shape.message(message))
        self._ends.append(self._taken_bytes)
        self._write_soon()

    def place_for(self, reference: ObjectReference) -> BinaryIO | None:
        """Return an empty file for the object's content; None: it isn't wanted."""
        return spool() if self._shape.wants(reference) else None

    def write_object(
        self, message: Message, reference: ObjectReference, content: BinaryIO | None
    ) -> None:
        """Write an object, piece by piece; `content` is ours from now on."""
        self._pieces = self._shape.object(message, reference, content)
        self._content = content
        self._write_soon()

    def discard(self, content: BinaryIO) -> None:
        """Drop the file of an object that didn't come."""
        content.close()

    def _take(self, shown: bytes) -> None:
        self._rest += shown
        self._taken_bytes += len(shown)

    def _write_soon(self) -> None:
        if not self._scheduled and not self._rest_watched:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        try:
            self._write_some()
        except BlockingIOError:
            pass
        except OSError as error:
            self._close(error)
            return
        written = 0
        while self._ends and self._ends[0] <= self._written_bytes:
            self._ends.popleft()
            written += 1
        self._watch()
        if written:
            self.on_written(written)

    def _write_some(self) -> None:
        size = _AHEAD_BYTES if self._file else _PIECE_BYTES
        turn_ends = self._written_bytes + _TURN_BYTES
        while (
            self._filled()
            and self._written_bytes < turn_ends
            and select.select([], [self._fd], [], 0)[1]
        ):
            number = os.write(self._fd, self._rest[:size])
            del self._rest[:number]
            self._written_bytes += number

    def _filled(self) -> bool:
        """Take the next piece of an object where nothing else is left; say whether anything is."""
        while not self._rest and self._pieces is not None:
            piece = next(self._pieces, None)
            if piece is None:
                self._ends.append(self._taken_bytes)
                self._end_object()
            else:
                self._take(piece)
        return bool(self._rest)

    def _end_object(self) -> None:
        self._pieces = None
        if self._content is not None:
            self._content.close()

    def _watch(self) -> None:
        """Go on when there is room; hear of a pipe's other end closing also while all is quiet."""
        more = bool(self._rest) or self._pieces is not None
        self._rest_watched = more and not self._file
        if self._rest_watched:
            self._loop.watch(self._fd, write=self._flush)
        elif self._pipe:
            self._loop.watch(self._fd, read=self._ended)
        else:
            self._loop.unwatch(self._fd)
        if more and self._file:
            self._write_soon()  # epoll knows no files: they always have room

    def _ended(self) -> None:
        self._close(BrokenPipeError())

    def _close(self, error: OSError) -> None:
        self._loop.unwatch(self._fd)
        self._rest.clear()
        self._end_object()
        if not isinstance(error, BrokenPipeError):
            raise StreamsError(f"stdout: {error.strerror}")
        self._on_closed()


def standard(
    loop: EventLoop, framing: Framing | None, *, as_json: bool, on_closed: Callable[[], None]
) -> Output:
    """Return stdout, fit for what it is."""
    fd = sys.stdout.fileno()
    shape: Shape = Framed(framing or Framing.LINES)
    if as_json:
        shape = Json()
    elif framing is None and os.isatty(fd):
        shape = Seen()
    return Output(loop, fd, shape, on_closed=on_closed)
