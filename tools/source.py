"""Messages out of a file descriptor, read on a loop and no faster than they are wanted."""

import os
import stat
from collections.abc import Callable

from streams.broker import EventLoop
from streams.errors import FramingError
from streams.framing import Decoder, Framing

_READ_BYTES = 256 * 1024


class Source:
    """Calls `on_messages` with what was read, and at the end with what was left and `over` set.

    Raises:
        FramingError: in `on_problem`, for bytes that don't follow their framing.
    """

    def __init__(
        self,
        loop: EventLoop,
        fd: int,
        framing: Framing,
        *,
        on_messages: Callable[[list[bytes]], None],
        on_problem: Callable[[FramingError], None],
    ) -> None:
        self._loop, self._fd = loop, fd
        self._decoder = Decoder(framing)
        self._on_messages, self._on_problem = on_messages, on_problem
        self._reading = False
        self.over = False
        self.read_bytes = 0
        kind = os.fstat(fd).st_mode
        # epoll knows no files: they are always ready
        self._pollable = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(fd)
        #: how much there is in all; None where nobody knows
        self.size_bytes = os.fstat(fd).st_size if stat.S_ISREG(kind) else None

    def read(self, *, wanted: bool) -> None:
        """Read on, or leave what comes where it is."""
        wanted = wanted and not self.over
        if wanted is self._reading:
            return
        self._reading = wanted
        if self._pollable:
            self._loop.watch(self._fd, read=self._readable if wanted else None)
        elif wanted:
            self._loop.call_soon(self._read_file)

    def stop(self) -> None:
        """Read nothing more; what is left of an unfinished message is no message."""
        self.read(wanted=False)
        self.over = True

    def _read_file(self) -> None:
        if self._reading:
            self._readable()
        if self._reading:
            self._loop.call_soon(self._read_file)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
            self.read_bytes += len(data)
            if data:
                self._on_messages(self._decoder.feed(data))
                return
            self.stop()
            last = self._decoder.finish()
            self._on_messages([] if last is None else [last])
        except FramingError as error:
            self.stop()
            self._on_problem(error)
