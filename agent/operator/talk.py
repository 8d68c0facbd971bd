"""The agent's side of the operator: JSON lines on stdin and stdout, never blocking."""

import os
from collections.abc import Callable
from contextlib import suppress

from pydantic import BaseModel

from streams.broker import EventLoop

#: What may wait for an agent that doesn't read; more is dropped, oldest states are of no use.
_MOST_UNSENT = 1024 * 1024
_LONGEST_LINE = 16 * 1024 * 1024


class Talk:
    """Calls `on_line` for each line of stdin, `on_end` once at its end."""

    def __init__(
        self, loop: EventLoop, *, on_line: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        self._unsent = b""
        self._ended = False
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        loop.watch(0, read=self._read)

    def say(self, line: BaseModel) -> None:
        """Write a line, at once or when the agent reads again."""
        if len(self._unsent) < _MOST_UNSENT:
            self._unsent += line.model_dump_json().encode() + b"\n"
        self._write()

    def flush(self) -> None:
        """Write what an agent that reads will still take."""
        self._write()

    def _write(self) -> None:
        if self._ended:
            return
        try:
            written = os.write(1, self._unsent) if self._unsent else 0
        except BlockingIOError:
            written = 0
        except OSError:
            self._end()
            return
        self._unsent = self._unsent[written:]
        if self._unsent:
            self._loop.watch(1, write=self._write)
        else:
            self._loop.unwatch(1)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(0, 65_536)
            if not data or len(self._rest) > _LONGEST_LINE:
                self._end()
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._on_line(line)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._loop.unwatch(0)
            self._loop.unwatch(1)
            self._on_end()
