"""Signals as readable bytes on the loop: handlers do nothing, so they can break nothing."""

import signal
import socket
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from streams.broker import EventLoop

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Signals:
    """Calls `on_stop` for SIGTERM and SIGINT, `on_child` when a child ended; for `with`."""

    def __init__(
        self, loop: EventLoop, *, on_stop: Callable[[], None], on_child: Callable[[], None]
    ) -> None:
        self._loop, self._on_stop, self._on_child = loop, on_stop, on_child

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)
        self._before_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before: dict[signal.Signals, Any] = {
            number: signal.signal(number, _nothing) for number in _WATCHED
        }
        self._loop.watch(self._reader.fileno(), read=self._readable)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._loop.unwatch(self._reader.fileno())
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        self._reader.close()
        self._writer.close()

    def _readable(self) -> None:
        numbers = self._reader.recv(4096)
        if signal.SIGCHLD in numbers:
            self._on_child()
        for number in numbers:
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._on_stop()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Only be there: the wake-up descriptor tells the loop."""
