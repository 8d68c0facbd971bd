"""Talking to S3 on threads, so that the loop never waits for it."""

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

from streams.access import S3Access
from streams.broker import EventLoop
from streams.errors import ObjectError
from streams.objects import Objects

#: Of these `fetching` uses two at most, so that a slow download doesn't hold an upload back.
_THREADS = 4

#: Pieces of 1 MiB are given back at once: glibc would learn from the first ones to keep them, for
#: each thread its own. Not smaller ones: what the broker's socket is read with comes all the time,
#: and to give that back would double a service's CPU a message.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_MEMORY = {_M_MMAP_THRESHOLD: 1024 * 1024, _M_TRIM_THRESHOLD: 4 * 1024 * 1024}

T = TypeVar("T")


class Transfers:
    """Runs blocking work and hands its result back on the loop; nothing is made before it is used.

    Programs are never started here: the kernel would end them with the thread (PR_SET_PDEATHSIG).
    """

    def __init__(self, loop: EventLoop, access: S3Access) -> None:
        self._loop = loop
        self.reach(access)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._under_way: set[Future[None]] = set()
        self._closing = threading.Event()
        with suppress(AttributeError):  # a C library without it
            for parameter, size in _MEMORY.items():
                ctypes.CDLL(None).mallopt(parameter, size)

    def reach(self, access: S3Access) -> None:
        """Reach S3 like this from now on."""
        self._objects = Objects(access, connections=_THREADS)

    def do(
        self,
        work: Callable[[Objects], T],
        then: Callable[[T], None],
        failed: Callable[[ObjectError], None],
    ) -> None:
        """Call `work` on a thread, then `then` with its result or `failed` with its error."""
        if not self._closing.is_set():
            future = self._pool.submit(self._run, work, then, failed)
            self._under_way.add(future)
            future.add_done_callback(self._under_way.discard)

    def cancelled(self) -> bool:
        """Say whether what runs here should give up; for any thread."""
        return self._closing.is_set()

    def close(self, within_s: float) -> None:
        """Take nothing more; give what runs, and what tidies up, a moment to end."""
        self._closing.set()
        wait(tuple(self._under_way), timeout=within_s)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(
        self,
        work: Callable[[Objects], T],
        then: Callable[[T], None],
        failed: Callable[[ObjectError], None],
    ) -> None:
        try:
            result = work(self._objects)
        except ObjectError as error:
            expected = error
            self._loop.call_soon(lambda: failed(expected))
        except BaseException as error:  # noqa: BLE001 - a bug: the loop's thread shows it
            bug = error
            self._loop.call_soon(lambda: _raise(bug))
        else:
            self._loop.call_soon(lambda: then(result))


def _raise(error: BaseException) -> None:
    raise error
