"""Segments on their way from S3 to a file, a few ahead of who reads them."""

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from manager.replays.selection import Segment
from streams.backoff import backoff_s
from streams.errors import (
    ObjectDamagedError,
    ObjectError,
    ObjectMissingError,
    ObjectsUnreachableError,
)
from streams.objects import Objects
from streams.reference import ObjectReference

#: So many wait on disk for who reads.
SEGMENTS_AHEAD = 3
#: An S3 that is away for so long won't be back soon.
PATIENCE_S = 300.0
_FIRST_S, _LONGEST_S = 0.5, 15.0
_ASK_S = 0.2
_END_S = 1.0


@dataclass(slots=True)
class Fetched:
    """A segment on disk, or the reason why it is not."""

    segment: Segment
    file: BinaryIO | None
    problem: ObjectError | None = None


class Ahead:
    """Fetches segments on a thread of its own. `say` is called there when S3 is away, and back."""

    def __init__(
        self,
        objects: Objects,
        bucket: str,
        segments: Iterable[Segment],
        *,
        say: Callable[[str], None],
    ) -> None:
        self._objects, self._bucket, self._segments = objects, bucket, segments
        self._say = say
        self._ready: queue.Queue[Fetched | None] = queue.Queue(SEGMENTS_AHEAD)
        self._stopping, self._hungry = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self._failed_at: float | None = None
        self._failures = 0
        #: whether the last segment was taken
        self.over = False
        self._thread = threading.Thread(target=self._run, name="replay reads", daemon=True)
        self._thread.start()

    def take(self) -> Fetched | None:
        """Return the next segment, None if it isn't there yet or it is `over`.

        Raises:
            ObjectError: S3 refuses, or was away for too long.
        """
        if self.over:
            return None
        try:
            fetched = self._ready.get_nowait()
        except queue.Empty:
            self._hungry.set()
            return None
        self._hungry.clear()
        if fetched is None:
            self.over = True
            if self._failure is not None:
                raise self._failure
        return fetched

    def close(self) -> None:
        """Fetch nothing more, and give the disk back."""
        self._stopping.set()
        self.over = True
        self._thread.join(_END_S)  # who is on its way to S3 gives up by itself
        self._forget()

    def _forget(self) -> None:
        with suppress(queue.Empty):
            while True:
                fetched = self._ready.get_nowait()
                if fetched is not None and fetched.file is not None:
                    fetched.file.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and not self._went_through():
                pass
        except Exception as error:  # noqa: BLE001 - it is raised where the segments are taken
            self._failure = error
        self._put(None)
        if self._stopping.is_set():
            self._forget()

    def _went_through(self) -> bool:
        """Fetch all that there is to list; False if S3 went away meanwhile, and waiting may help.

        Raises:
            ObjectError: waiting doesn't help.
        """
        try:
            for segment in self._segments:
                self._wait_if_late(segment)
                if self._stopping.is_set():
                    break
                self._put(self._fetched(segment))
        except ObjectsUnreachableError as error:
            self._wait_after(error)
            return False
        return True

    def _wait_if_late(self, segment: Segment) -> None:
        """Fetch what most likely isn't needed only for a reader that has nothing else left."""
        while segment.late and not self._stopping.is_set() and not self._hungry.wait(_ASK_S):
            pass

    def _fetched(self, segment: Segment) -> Fetched:
        while True:
            try:
                file = self._file_of(segment)
            except (ObjectMissingError, ObjectDamagedError) as error:
                return Fetched(segment, None, error)
            except ObjectsUnreachableError as error:
                self._wait_after(error)
            else:
                if self._failures:
                    self._say("S3 is back")
                self._failures, self._failed_at = 0, None
                return Fetched(segment, file)

    def _file_of(self, segment: Segment) -> BinaryIO:
        info = segment.info
        reference = ObjectReference(
            self._bucket,
            segment.key.key,
            size=info.size if info else None,
            etag=info.etag if info else None,
        )
        file = tempfile.TemporaryFile(prefix="streamboss-replay-")  # noqa: SIM115 - it is handed on
        try:
            self._objects.fetch_into(reference, file, cancelled=self._stopping.is_set)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _wait_after(self, error: ObjectsUnreachableError) -> None:
        """Wait a while, longer after each failure in a row.

        Raises:
            ObjectsUnreachableError: it was away for too long.
        """
        if self._failed_at is None:
            self._failed_at = time.monotonic()
            self._say(f"{error}; trying again for {PATIENCE_S / 60:g} minutes")
        if time.monotonic() - self._failed_at > PATIENCE_S:
            raise error
        self._failures += 1
        self._stopping.wait(backoff_s(self._failures, first_s=_FIRST_S, longest_s=_LONGEST_S))

    def _put(self, fetched: Fetched | None) -> None:
        """Hand over, when there is room."""
        self._hungry.clear()
        while not self._stopping.is_set():
            try:
                self._ready.put(fetched, timeout=_ASK_S)
            except queue.Full:
                continue
            return
        if fetched is not None and fetched.file is not None:
            fetched.file.close()
