"""A span of an object's bytes, in order: a connection that is cut or crawls is taken up again."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from streams.backoff import backoff_s
from streams.errors import ObjectCancelledError, ObjectDamagedError, ObjectsUnreachableError
from streams.objects.connection import Connection
from streams.reference import ObjectReference

#: What is read at once, at most; also all that one reader holds.
CHUNK_BYTES = 256 * 1024
#: How often in a row a connection may be lost with less than `PROGRESS_BYTES` in between.
RESUMES = 5
PROGRESS_BYTES = 1024 * 1024
#: Less than so many bytes in so many seconds of waiting for them is as good as nothing.
CRAWL_BYTES = 16 * 1024
CRAWL_S = 20.0


@dataclass
class Span:
    """Bytes `start` to `end` (exclusive) of the object with that ETag.

    Once `stopped` is set it ends at the next chunk with ObjectCancelledError.
    """

    connection: Connection
    reference: ObjectReference
    etag: str
    start: int
    end: int
    stopped: threading.Event = field(default_factory=threading.Event)
    _failures: int = 0
    _since_failure: int = 0

    def chunks(self) -> Iterator[bytes]:
        """Give the bytes as they come; when it ends, all of them came.

        Raises:
            ObjectDamagedError: the object was replaced meanwhile.
            ObjectsUnreachableError: lost again and again, though each time taken up anew.
            ObjectMissingError, ObjectRefusedError: S3's answer.
        """
        while self.start < self.end:
            try:
                with closing(self._ask()) as body:
                    yield from self._read(body)
            except ObjectsUnreachableError as lost:
                self._wait(lost)

    def _ask(self) -> Any:
        """Return the body of what is still missing."""
        asked = f"bytes={self.start}-{self.end - 1}"
        with self.connection.calling(self.reference.bucket, self.reference.key) as client:
            answer = client.get_object(
                Bucket=self.reference.bucket,
                Key=self.reference.key,
                IfMatch=f'"{self.etag}"',
                Range=asked,
            )
        if not answer.get("ContentRange", "").startswith(f"bytes {self.start}-{self.end - 1}/"):
            answer["Body"].close()
            raise ObjectDamagedError(
                f"{self.connection.place} doesn't give the {asked} of {self.reference}: "
                "it was replaced, or the server knows no ranges"
            )
        return answer["Body"]

    def _read(self, body: Any) -> Iterator[bytes]:
        crawl = _Crawl()
        while self.start < self.end:
            if self.stopped.is_set():
                raise cancelled(self.reference)
            asked_at = time.monotonic()
            with self.connection.calling(self.reference.bucket, self.reference.key):
                # StreamingBody's own read waits until all that was asked is there: a server that
                # crawls would never be noticed
                chunk: bytes = body._raw_stream.read1(CHUNK_BYTES)  # noqa: SLF001
                if not chunk:
                    raise ConnectionError("it ended its answer early")
            crawls = crawl.seen(len(chunk), time.monotonic() - asked_at)
            self.start += len(chunk)
            self._since_failure += len(chunk)
            yield chunk
            if crawls:
                raise ObjectsUnreachableError(
                    f"{self.connection.place} gives less than {CRAWL_BYTES} bytes of "
                    f"{self.reference} in {CRAWL_S:g} s: is it, or the network, overloaded?"
                )

    def _wait(self, lost: ObjectsUnreachableError) -> None:
        """Wait before the next connection; raise `lost` if there were enough of them."""
        if self._since_failure >= PROGRESS_BYTES:
            self._failures = 0
        self._failures += 1
        self._since_failure = 0
        if self._failures > RESUMES:
            raise lost
        if self.stopped.wait(backoff_s(self._failures, first_s=0.2, longest_s=5.0)):
            raise cancelled(self.reference)


def cancelled(reference: ObjectReference) -> ObjectCancelledError:
    """Return the error for a fetch that is no longer wanted."""
    return ObjectCancelledError(f"fetching {reference} was given up")


class _Crawl:
    """Notices that bytes come, but next to none. Counts the time waited for them, no other."""

    def __init__(self) -> None:
        self._bytes = 0
        self._waited_s = 0.0

    def seen(self, count: int, waited_s: float) -> bool:
        """Take what came and how long it took; True if a window ends with too little in it."""
        self._bytes += count
        self._waited_s += waited_s
        if self._waited_s < CRAWL_S:
            return False
        few = self._bytes < CRAWL_BYTES
        self._bytes, self._waited_s = 0, 0.0
        return few
