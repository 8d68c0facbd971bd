"""Storing objects in parts: while they are written, or from a file."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Self

from streams.errors import ObjectDamagedError
from streams.objects.content import PART_BYTES, part_bytes_for
from streams.objects.multipart import Multipart, Target
from streams.reference import ObjectReference


class Upload:
    """One object, stored by parts while it is written; one thread at a time.

    A part is on its way while the next one is written, so it holds two parts at most. Leaving the
    `with` block without `finish` aborts it. What fits into one part is stored in one request.
    """

    def __init__(self, target: Target) -> None:
        self.size = 0
        self._target = target
        self._buffer = bytearray()
        self._multipart: Multipart | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._sending: Future[None] | None = None
        self._parts = 0
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            self.abort()

    def write(self, data: bytes) -> None:
        """Take the next bytes; waits while the part before is still on its way.

        Raises:
            ObjectError: an earlier part, or the beginning, failed.
        """
        self.size += len(data)
        self._buffer += data
        while len(self._buffer) > PART_BYTES:  # not >=: the last part may be a full one
            self._send(PART_BYTES)

    def finish(self) -> ObjectReference:
        """Store the rest and return what names the object; only now it is there."""
        if self._multipart:
            self._send(len(self._buffer))
            self._sent()
            reference = self._multipart.complete(self.size)
        else:
            reference = self._target.put(bytes(self._buffer))
        self._finished = True
        self._close()
        return reference

    def abort(self) -> None:
        """Leave nothing behind."""
        self._finished = True
        if self._multipart:
            self._multipart.stop()
        self._close()  # first: a part that arrives after the abort would stay
        if self._multipart:
            self._multipart.abort()

    def _send(self, size: int) -> None:
        if self._multipart is None or self._pool is None:
            self._multipart = self._target.start(PART_BYTES)
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._sent()  # before the next is copied, or there were three
        part = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._parts += 1
        self._sending = self._pool.submit(self._multipart.put, self._parts, part)

    def _sent(self) -> None:
        if self._sending:
            self._sending.result()

    def _close(self) -> None:
        self._buffer.clear()
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def upload_file(
    path: Path, target: Target, on_bytes: Callable[[int], None] | None
) -> ObjectReference:
    """Store a file by parallel parts; see `Objects.upload_file`."""
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        if before.st_size > PART_BYTES:
            return _by_parts(file, before, target, on_bytes)
        reference = target.put(file.read())
    if on_bytes:
        on_bytes(before.st_size)
    return reference


def _by_parts(
    file: BufferedReader,
    before: os.stat_result,
    target: Target,
    on_bytes: Callable[[int], None] | None,
) -> ObjectReference:
    size = before.st_size
    part_bytes = part_bytes_for(size)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    with _aborted_on_failure(target, part_bytes, sha256) as (pool, multipart):

        def put(number: int) -> int:
            data = os.pread(file.fileno(), part_bytes, (number - 1) * part_bytes)
            multipart.put(number, data)
            return len(data)

        for sent in pool.map(put, range(1, -(-size // part_bytes) + 1)):
            if on_bytes:
                on_bytes(sent)
        after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
            raise ObjectDamagedError(f"{file.name} changed while it was uploaded: upload it again")
        return multipart.complete(size)


@contextmanager
def _aborted_on_failure(
    target: Target, part_bytes: int, sha256: str
) -> Iterator[tuple[ThreadPoolExecutor, Multipart]]:
    """Give threads, and where they put parts; on any failure, ^C included, none is left behind."""
    pool = ThreadPoolExecutor(target.connection.connections, thread_name_prefix="upload")
    begun: list[Multipart] = []

    def begin() -> None:
        begun.append(target.start(part_bytes, sha256))

    try:
        pool.submit(
            begin
        ).result()  # not here: ^C could come between S3's answer and our note of it
        yield pool, begun[0]
    except BaseException:
        for multipart in begun:
            multipart.stop()
        pool.shutdown(cancel_futures=True)  # first: a part that arrives after the abort would stay
        for multipart in begun:
            multipart.abort()
        raise
    pool.shutdown()
