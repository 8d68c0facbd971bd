"""Fetching what a reference names: in order, or in parallel parts into a file. Always checked."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import BinaryIO

from streams.errors import ObjectDamagedError
from streams.objects.connection import Connection
from streams.objects.content import PART_BYTES, Check, Content
from streams.objects.span import CHUNK_BYTES, Span, cancelled
from streams.reference import ObjectReference

#: How often whoever fetches into a file is asked whether it is still wanted.
_ASK_S = 0.2


def in_order(
    connection: Connection,
    reference: ObjectReference,
    content: Content,
    on_bytes: Callable[[int], None] | None,
) -> Iterator[bytes]:
    """Give the object's bytes in order, over one connection; see `Objects.fetch`."""
    check = Check(content)
    for chunk in Span(connection, reference, content.etag, 0, content.size).chunks():
        check.update(chunk)
        if on_bytes:
            on_bytes(len(chunk))
        yield chunk
    _must_be_right(check, reference)


def _must_be_right(check: Check, reference: ObjectReference) -> None:
    if not check.right():
        raise ObjectDamagedError(
            f"{reference} is damaged: its content isn't what its checksum says; store it again"
        )


@dataclass
class IntoFile:
    """One object on its way into a file: parts come side by side, the check follows in order."""

    connection: Connection
    reference: ObjectReference
    content: Content
    file: BinaryIO
    on_bytes: Callable[[int], None] | None
    cancelled: Callable[[], bool] | None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _using_file: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Fetch and check all of it; see `Objects.fetch_into`."""
        check = Check(self.content)
        starts = range(0, self.content.size, PART_BYTES)
        pool = ThreadPoolExecutor(self.connection.connections, thread_name_prefix="fetch")
        parts = [pool.submit(self._fetch, start) for start in starts]
        try:
            for start, part in zip(starts, parts, strict=True):
                self._await(part)
                self._reread(start, check)
        finally:
            self._stopped.set()  # also on ^C: the others end at their next chunk
            pool.shutdown(cancel_futures=True)
        _must_be_right(check, self.reference)
        self.file.seek(0)

    def _end_of(self, start: int) -> int:
        return min(start + PART_BYTES, self.content.size)

    def _fetch(self, start: int) -> None:
        """Fetch the part that begins there."""
        at, end = start, self._end_of(start)
        span = Span(self.connection, self.reference, self.content.etag, at, end, self._stopped)
        for chunk in span.chunks():
            with self._using_file:
                self.file.seek(at)
                self.file.write(chunk)
                if self.on_bytes:
                    self.on_bytes(len(chunk))
            at += len(chunk)

    def _await(self, part: Future[None]) -> None:
        while not part.done():
            wait([part], _ASK_S)
            if self.cancelled and self.cancelled():
                raise cancelled(self.reference)
        part.result()

    def _reread(self, start: int, check: Check) -> None:
        for at in range(start, end := self._end_of(start), CHUNK_BYTES):
            with self._using_file:
                self.file.seek(at)
                chunk = self.file.read(min(CHUNK_BYTES, end - at))
            check.update(chunk)
