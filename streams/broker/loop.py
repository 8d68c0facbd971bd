"""pika's event loop, for everybody who waits for something: sockets, pipes and timers."""

from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import IOLoop, PollEvents

Callback = Callable[[], None]
Timer = Any


class Rounds(IOLoop):
    """pika's loop, with a list of what to do at the end of this round, before it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.ending: list[Callback] = []

    def end_round(self) -> None:
        """Do what is left to the end of the round, and what comes of that."""
        while self.ending:
            due, self.ending = self.ending, []
            for act in due:
                act()


class EventLoop:
    """pika's loop, with file descriptors and timers for everybody else."""

    def __init__(self) -> None:
        self.io = Rounds()
        self._stopping = False
        self._watched: dict[int, tuple[Callback | None, Callback | None]] = {}

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Call `callback` once, in `delay_s` seconds; return a handle for `cancel`."""
        return self.io.call_later(delay_s, callback)

    def call_soon(self, callback: Callback) -> None:
        """Call `callback` in the next round; the only method that other threads may use."""
        self.io.add_callback_threadsafe(callback)

    def call_at_end(self, callback: Callback) -> None:
        """Call `callback` when all that this round of the loop brought is seen to."""
        self.io.ending.append(callback)

    def cancel(self, timer: Timer) -> None:
        """Forget a timer; one that has fired already, or None, is fine."""
        if timer is not None and timer.callback is not None:
            self.io.remove_timeout(timer)

    def watch(
        self, fd: int, *, read: Callback | None = None, write: Callback | None = None
    ) -> None:
        """Call `read` while `fd` is readable or ended, `write` while it is writable or broken.

        Replaces what was watched on `fd`; with neither, forgets it.
        """
        known = fd in self._watched
        if read is None and write is None:
            self.unwatch(fd)
            return
        events = IOLoop.ERROR | (IOLoop.READ if read else 0) | (IOLoop.WRITE if write else 0)
        self._watched[fd] = (read, write)
        if known:
            self.io.update_handler(fd, events)
        else:
            self.io.add_handler(fd, self._dispatch, events)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; call it before closing."""
        if self._watched.pop(fd, None) is not None:
            self.io.remove_handler(fd)

    def _dispatch(self, fd: int, events: int) -> None:
        read, write = self._watched.get(fd, (None, None))
        ended = events & (IOLoop.ERROR | PollEvents.HANGUP)
        if read is not None and (ended or events & IOLoop.READ):
            read()
        # `read` may have changed what is watched
        if self._watched.get(fd, (None, None))[1] is not write or write is None:
            return
        if ended or events & IOLoop.WRITE:
            write()

    def run(self) -> None:
        """Serve until `stop`."""
        self.run_until(lambda: False)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Serve until `done()` or `stop`; may be called again."""
        self._stopping = False
        self.io.activate_poller()
        try:
            while not self._stopping and not done():
                self.io.end_round()
                self.io.poll()
                self.io.process_timeouts()
        finally:
            self.io.deactivate_poller()

    def stop(self) -> None:
        """End `run` after this round."""
        self._stopping = True

    def close(self) -> None:
        """Give back the loop's own descriptors."""
        self.io.close()
