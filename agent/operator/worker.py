"""A service's process: what is fed to it, and that it is fed no faster than it reads."""

import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from agent.operator.child import Child, Exit
from agent.operator.intake import Item
from agent.operator.launcher import Launcher
from agent.operator.spawn import PIPE_BYTES
from streams.framing import Framing, encode, encode_pieces, encode_several

#: More than this isn't encoded in advance for a program that doesn't read.
_UNWRITTEN_BYTES = 256 * 1024
#: A program that closed its stdin and goes on is ended after so long.
_DEAF_S = 2.0
#: One that closed its stdout has most likely ended, and how is about to be known.
_SILENT_S = 0.3


class Worker:
    """Starts the program at once.

    `on_written` is called when some of what was fed went into the pipe.

    Raises:
        CannotRunError: the kernel refused.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        on_output: Callable[[bytes], None],
        on_written: Callable[[], None],
        on_end: Callable[[Exit], None],
    ) -> None:
        self._loop = launcher.loop
        self._on_written = on_written
        self._on_end = on_end
        self._unwritten = bytearray()
        #: how much of the last input went into the pipe, and how much of that was left there
        self._written_bytes = 0
        self._left_bytes = 0
        #: what comes after that: objects, read as the program reads
        self._behind: deque[Iterator[bytes]] = deque()
        self._watched = False
        self._closing = False
        #: why it was ended by us
        self.cut = ""
        self.child: Child
        self._stdin: int | None
        self.child, self._stdin = launcher.start({}, None, on_output=on_output, on_end=self._ended)

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own."""
        return self.child.pid

    @property
    def room(self) -> bool:
        """Whether more may be fed."""
        if self._stdin is None or self._behind:
            return False
        return len(self._unwritten) < _UNWRITTEN_BYTES

    @property
    def read_all(self) -> bool:
        """Whether the program has taken everything out of its pipe."""
        if self._stdin is None or self._unwritten or self._behind:
            return False
        return _bytes_in(self._stdin) == 0

    @property
    def ignored_input(self) -> bool:
        """Whether a program that has ended took nothing of its last input."""
        return self._left_bytes >= self._written_bytes

    def feed_items(self, framing: Framing, items: Sequence[Item]) -> None:
        """Feed inputs; an object is read from its file as fast as the program reads."""
        self._written_bytes = 0
        if all(item.spool is None for item in items):
            self.feed(encode_several(framing, [item.body for item in items]))
            return
        for item in items:
            if item.spool is None:
                self.feed(encode(framing, item.body))
            else:
                self._behind.append(encode_pieces(framing, item.spool.size, item.spool.pieces()))
                self._refill()
                self._watch()

    def feed(self, data: bytes) -> None:
        """Write `data` when the pipe takes it: what one round of the loop feeds goes together."""
        if self._behind:
            self._behind.append(iter((data,)))
        else:
            self._unwritten += data
        self._watch()

    def close(self) -> None:
        """Let the program see the end of its input, when all is written."""
        self._closing = True
        if not self._unwritten and not self._behind:
            self._close_stdin()

    def cut_off(self, reason: str, *, at_once: bool = False) -> None:
        """End the program, for this reason."""
        if not self.cut:
            self.cut = reason
            if at_once:
                self.child.kill()
            else:
                self.child.end()

    def _watch(self) -> None:
        if not self._watched and self._stdin is not None:
            self._watched = True
            self._loop.watch(self._stdin, write=self._write)

    def _write(self) -> None:
        if self._stdin is None:
            return
        try:
            written = os.write(self._stdin, self._unwritten)
        except BlockingIOError:
            return
        except OSError:  # EPIPE: it reads no more, and is most likely about to end
            self._close_stdin()
            self._unwritten.clear()
            self._behind.clear()
            self._loop.call_later(_DEAF_S, self._deaf)
            return
        del self._unwritten[:written]
        self._written_bytes += written
        self._refill()
        if not self._unwritten:
            self._watched = False
            self._loop.unwatch(self._stdin)
            if self._closing:
                self._close_stdin()
        self._on_written()

    def _refill(self) -> None:
        """Have a pipe full of bytes at hand, not more."""
        while self._behind and len(self._unwritten) < PIPE_BYTES:
            piece = next(self._behind[0], None)
            if piece is None:
                self._behind.popleft()
            else:
                self._unwritten += piece

    def fell_silent(self) -> None:
        """End a program that closed its stdout, if it goes on: it can give no answer any more."""
        self._loop.call_later(_SILENT_S, self._silent)

    def _silent(self) -> None:
        if not self.child.over:
            self.cut_off("closed its stdout")

    def _deaf(self) -> None:
        if not self.child.over:
            self.cut_off("closed its stdin and went on")

    def _ended(self, exit_: Exit) -> None:
        self._close_stdin()
        self._on_end(exit_)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._loop.unwatch(self._stdin)
            self._left_bytes = _bytes_in(self._stdin)
            os.close(self._stdin)
            self._stdin = None


def _bytes_in(pipe: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])
