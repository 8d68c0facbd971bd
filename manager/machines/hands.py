"""Hands: the threads that work on one cloud. One that hangs holds up neither planning nor another.

A job has a name, and runs once at a time under it: whoever gives jobs may give the same again with
each look, until what it is about has changed.
"""

import queue
import threading
import time
from collections.abc import Callable

import structlog

from provision.errors import ProvisionError
from streams.errors import StreamsError

log = structlog.get_logger()
#: Jobs that wait for a hand; what doesn't fit is given again with a later look.
_MOST_WAITING = 1000

Job = Callable[[], object]


class Hands:
    """A few threads for one cloud, started when there is something to do.

    `done` is called, by any of them, after each job.
    """

    def __init__(self, cloud: str, done: Callable[[], object], *, count: int = 4) -> None:
        self._cloud, self._done, self._count = cloud, done, count
        self._jobs: queue.Queue[tuple[str, Job] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def give(self, name: str, job: Job) -> bool:
        """Have `job` done; False if one of that name is under way, or too many wait."""
        with self._lock:
            if self._stopping or name in self._busy or len(self._busy) >= _MOST_WAITING:
                return False
            self._busy.add(name)
            if len(self._threads) < min(self._count, len(self._busy)):
                self._begin()
        self._jobs.put((name, job))
        return True

    def busy(self) -> frozenset[str]:
        """Return the names of jobs that wait or are under way."""
        with self._lock:
            return frozenset(self._busy)

    def stop(self, within_s: float) -> None:
        """Let what is under way come to its end, for so long; what waits isn't begun."""
        self._stopping = True
        deadline = time.monotonic() + within_s
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _begin(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._work, name=f"{self._cloud} {number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (given := self._jobs.get()) is not None:
            name, job = given
            if not self._stopping:
                self._do(name, job)
            with self._lock:
                self._busy.discard(name)
            self._done()

    def _do(self, name: str, job: Job) -> None:
        try:
            job()
        except (ProvisionError, StreamsError) as error:
            log.warning("not done on a cloud", cloud=self._cloud, job=name, error=str(error))
        except Exception:
            log.exception("a job failed", cloud=self._cloud, job=name)
