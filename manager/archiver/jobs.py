"""Work that blocks, on a few threads; its outcome comes back on the loop."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from streams.broker import EventLoop
from streams.errors import StreamsError

T = TypeVar("T")
#: Transfers at once: each is one object, and S3 answers several as fast as one.
THREADS = 8


class Jobs:
    """Runs jobs for a loop."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="archiver")

    def run(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[StreamsError], None],
    ) -> None:
        """Run `work` on a thread, and `then` or `failed` on the loop.

        What isn't an expected failure ends the loop: `then` raises it there.
        """
        future = self._pool.submit(work)
        future.add_done_callback(
            lambda done: self._loop.call_soon(partial(_settle, done, then, failed))
        )

    def close(self) -> None:
        """Begin nothing more; what runs is left to itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _settle(
    done: Future[T], then: Callable[[T], None], failed: Callable[[StreamsError], None]
) -> None:
    if done.cancelled():
        return
    error = done.exception()
    if isinstance(error, StreamsError):
        failed(error)
    elif isinstance(error, OSError):
        failed(StreamsError(f"the archiver's own disk: {error}"))
    else:
        then(done.result())
