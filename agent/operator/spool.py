"""An object's content on this machine: a file without a name, gone with the process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

#: What is read at once: as much as a pipe takes.
_PIECE_BYTES = 64 * 1024
_SEARCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Spool:
    """The whole content, checked. Programs can't see the file, except as their stdin."""

    file: BinaryIO
    size: int

    @classmethod
    def of(cls, file: BinaryIO) -> Self:
        """Take over a file that holds all of it."""
        return cls(file, os.fstat(file.fileno()).st_size)

    def open(self) -> int:
        """Return a descriptor of its own position, at the beginning; the caller closes it.

        Raises:
            OSError: there are too many open files.
        """
        return os.open(f"/proc/self/fd/{self.file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content; to its end also if the spool is closed meanwhile."""
        return _read_and_close(os.fdopen(os.dup(self.file.fileno()), "rb", 0))

    def has_inside(self, separator: bytes) -> bool:
        """Say whether a `separator` of one byte is anywhere but at the end."""
        left = self.size - 1
        for piece in _read(self.file, _SEARCH_BYTES):
            if separator in piece[:left]:
                return True
            left -= len(piece)
            if left <= 0:
                break
        return False

    def close(self) -> None:
        """Give the room back; programs that have it open keep theirs."""
        self.file.close()


def _read_and_close(file: BinaryIO) -> Iterator[bytes]:
    with file:
        yield from _read(file, _PIECE_BYTES)


def _read(file: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    place = 0
    while data := os.pread(file.fileno(), piece_bytes, place):
        yield data
        place += len(data)
