"""A segment that grows: small in memory, larger on disk, and never with a file held open."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from streams.archive import Record, SegmentKey, SegmentWriter

#: What is written to disk at once.
_MEMORY_BYTES = 128 * 1024


class Spool:
    """Takes what is written: a file for a writer, which is open only while it is written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting = bytearray()
        self._on_disk_bytes = 0

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._waiting += data
        if len(self._waiting) >= _MEMORY_BYTES:
            self.save()
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is small needs no disk."""

    def seekable(self) -> bool:
        """Say that it isn't."""
        return False

    def save(self) -> None:
        """Write what waits to the disk."""
        with self.path.open("ab") as file:
            file.write(self._waiting)
        self._on_disk_bytes += len(self._waiting)
        self._waiting.clear()

    def tell(self) -> int:
        """Return how many bytes there are."""
        return self._on_disk_bytes + len(self._waiting)

    def content(self) -> bytes | None:
        """Return what was written, where it never came to the disk."""
        return None if self._on_disk_bytes else bytes(self._waiting)

    def discard(self) -> None:
        """Give the disk back."""
        self._waiting.clear()
        if self._on_disk_bytes:
            self.path.unlink(missing_ok=True)
            self._on_disk_bytes = 0


class Segment:
    """Records of one stream on their way into an object; `position` is the first one's."""

    def __init__(self, folder: Path, stream: str, position: int) -> None:
        self._stream = stream
        self.spool = Spool(folder / secrets.token_hex(8))
        self._writer = SegmentWriter(cast("BinaryIO", self.spool))
        self.position = position
        self.first_us = self.last_us = 0

    @property
    def records(self) -> int:
        """How many there are in it."""
        return self._writer.records

    @property
    def next_position(self) -> int:
        """The position of the record after its last."""
        return self.position + self.records

    @property
    def size_bytes(self) -> int:
        """How large it is so far; the block that grows comes on top."""
        return self.spool.tell()

    @property
    def key(self) -> SegmentKey:
        """Its key: by the first record's arrival and, where two are equal, by its position."""
        return SegmentKey(self._stream, self.first_us, f"{self.position:016}")

    def add(self, record: Record) -> None:
        """Add a record."""
        if not self.records:
            self.first_us = record.arrived_us
        self.last_us = record.arrived_us
        self._writer.write(record)

    def close(self) -> None:
        """Write what is left of it."""
        self._writer.close()

    @contextmanager
    def discarded(self) -> Iterator[None]:
        """Give the disk back at the end of the block."""
        try:
            yield
        finally:
            self.spool.discard()
