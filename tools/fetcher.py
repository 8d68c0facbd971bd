"""Fetching one object at a time on a thread, for a loop that mustn't wait."""

import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from streams.backoff import backoff_s
from streams.broker import EventLoop
from streams.errors import ObjectCancelledError, ObjectsUnreachableError, StreamsError
from streams.objects import PART_BYTES, Objects
from streams.reference import ObjectReference
from tools import console
from tools.progress import transfer

#: So long an S3 server that doesn't answer is asked again: a restart is over by then.
PATIENCE_S = 300.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0
#: What one that is no longer wanted may take to end.
_END_S = 5.0


class Fetcher:
    """Fetches objects, whole and checked, into files."""

    def __init__(self, loop: EventLoop, objects: Objects) -> None:
        self._loop, self._objects = loop, objects
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()

    def fetch(
        self,
        reference: ObjectReference,
        file: BinaryIO,
        on_done: Callable[[StreamsError | None], None],
    ) -> None:
        """Fetch one; `on_done` is called on the loop, with what went wrong or None.

        An ObjectsUnreachableError was preceded by minutes of trying.
        """

        def run() -> None:
            error = self._outcome(reference, file)
            self._loop.call_soon(lambda: on_done(error))

        self._thread = threading.Thread(target=run, name="fetch", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Give up what is being fetched, and all that follows."""
        self._cancelled.set()

    def join(self) -> None:
        """Wait a moment for a fetch that was given up."""
        if self._thread is not None:
            self._thread.join(_END_S)

    def _outcome(self, reference: ObjectReference, file: BinaryIO) -> StreamsError | None:
        try:
            self._persist(reference, file)
        except StreamsError as error:
            return error
        except OSError as error:
            return StreamsError(f"{reference} can't be kept here: {error.strerror}")
        return None

    def _persist(self, reference: ObjectReference, file: BinaryIO) -> None:
        gives_up_at, failures = time.monotonic() + PATIENCE_S, 0
        while True:
            try:
                self._try(reference, file)
            except ObjectsUnreachableError as error:
                failures += 1
                pause_s = backoff_s(failures, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S)
                if time.monotonic() + pause_s > gives_up_at:
                    raise
                if failures == 1:
                    console.say(f"{error}; trying again for {PATIENCE_S / 60:.0f} minutes")
            else:
                return
            if self._cancelled.wait(pause_s):
                raise ObjectCancelledError(f"{reference} is no longer wanted")

    def _try(self, reference: ObjectReference, file: BinaryIO) -> None:
        file.seek(0)
        file.truncate()
        # what is there in a moment needs no bar
        is_large = reference.size is None or reference.size > PART_BYTES
        with transfer(str(reference), reference.size, wanted=is_large) as on_bytes:
            self._objects.fetch_into(
                reference, file, on_bytes=on_bytes, cancelled=self._cancelled.is_set
            )
