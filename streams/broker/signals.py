"""Signals as readable bytes on the loop: handlers do nothing, so they can break nothing."""

import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from streams.broker.loop import EventLoop


class Signals:
    """Calls back from the loop when a signal comes, once for each time.

    One for a process: it owns Python's wake-up descriptor until `close`, or the end of `with`.
    """

    def __init__(
        self, loop: EventLoop, handlers: Mapping[signal.Signals, Callable[[], None]]
    ) -> None:
        self._loop = loop
        self._handlers: dict[int, Callable[[], None]] = {}
        self._before: dict[signal.Signals, Any] = {}
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)
        self._before_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        loop.watch(self._reader.fileno(), read=self._readable)
        for number, callback in handlers.items():
            self.on(number, callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on(self, number: signal.Signals, callback: Callable[[], None]) -> None:
        """Call `callback` from the loop when the signal comes."""
        self._handlers[number] = callback
        self._before.setdefault(number, signal.signal(number, _nothing))

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        self._loop.unwatch(self._reader.fileno())
        self._reader.close()
        self._writer.close()

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            for number in self._reader.recv(4096):
                self._handlers.get(number, lambda: None)()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Only be there: the wake-up descriptor tells the loop."""
