"""Fetching what a reference names: in order, or in parallel parts into a file. Always checked."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import BinaryIO

from streams.errors import ObjectDamagedError
from streams.objects.connection import Connection
from streams.objects.content import MIB, PART_BYTES, Check, Content, etag_of
from streams.objects.span import CHUNK_BYTES, Span, cancelled
from streams.reference import ObjectReference

OnBytes = Callable[[int], None]
#: How often whoever fetches into a file is asked whether it is still wanted.
_ASK_S = 0.2
#: Parts of others may be larger than what several connections should hold up.
_LARGEST_PART_BYTES = 64 * MIB


def in_order(
    connection: Connection, reference: ObjectReference, content: Content, on_bytes: OnBytes | None
) -> Iterator[bytes]:
    """Give the object's bytes in order, over one connection; see `Objects.fetch`."""
    check = Check(content)
    for chunk in Span(connection, reference, content.etag, 0, content.size).chunks():
        check.update(chunk)
        if on_bytes:
            on_bytes(len(chunk))
        yield chunk
    if not check.right():
        raise damaged(reference)


def damaged(reference: ObjectReference) -> ObjectDamagedError:
    """Return the error for bytes that aren't the ones that were stored."""
    return ObjectDamagedError(
        f"{reference} is damaged: its content isn't what its checksum says; store it again"
    )


@dataclass
class IntoFile:
    """One object on its way into a seekable file, by parallel parts."""

    connection: Connection
    reference: ObjectReference
    content: Content
    file: BinaryIO
    on_bytes: OnBytes | None
    cancelled: Callable[[], bool] | None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Fetch and check all of it; see `Objects.fetch_into`."""
        parts = self.content.part_bytes
        by_parts = parts is not None and parts <= _LARGEST_PART_BYTES
        digests = self._fetch(parts if parts and by_parts else PART_BYTES)
        self.file.flush()
        right = etag_of(digests) == self.content.etag if by_parts else self._reads_right()
        if not right:
            raise damaged(self.reference)
        self.file.seek(0)

    def _fetch(self, part_bytes: int) -> list[bytes]:
        """Fetch all parts; return each one's MD5."""
        starts = range(0, self.content.size, part_bytes)
        pool = ThreadPoolExecutor(self.connection.connections, thread_name_prefix="fetch")
        parts = [pool.submit(self._part, start, start + part_bytes) for start in starts]
        pending = set(parts)
        try:
            while pending:
                done, pending = wait(pending, _ASK_S, FIRST_EXCEPTION)
                for part in done:
                    part.result()  # the first that failed is the one to tell of
                if self.cancelled and self.cancelled():
                    raise cancelled(self.reference)
        finally:
            self._stopped.set()  # also on ^C: the others end at their next chunk
            pool.shutdown(cancel_futures=True)
        return [part.result() for part in parts]

    def _part(self, start: int, end: int) -> bytes:
        at, end = start, min(end, self.content.size)
        md5 = hashlib.md5(usedforsecurity=False)
        span = Span(self.connection, self.reference, self.content.etag, at, end, self._stopped)
        for chunk in span.chunks():
            md5.update(chunk)
            with self._writing:
                self.file.seek(at)
                self.file.write(chunk)
                if self.on_bytes:
                    self.on_bytes(len(chunk))
            at += len(chunk)
        return md5.digest()

    def _reads_right(self) -> bool:
        check = Check(self.content)
        self.file.seek(0)
        while chunk := self.file.read(CHUNK_BYTES):
            check.update(chunk)
        return check.right()
