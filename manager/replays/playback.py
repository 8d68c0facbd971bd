"""The messages of a replay, one after the other, out of the segments."""

import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from manager.replays.ahead import Ahead, Fetched
from manager.replays.repeats import REACH_SEGMENTS, Repeats
from manager.replays.request import Position, ReplayRequest, time_us
from manager.replays.selection import Segment, Selection, is_over
from streams.archive import Record, SegmentKey, message_of, read_segment
from streams.errors import SegmentDamagedError
from streams.message import Message
from streams.objects import Objects

#: After so many records that aren't wanted, others get their turn.
_SKIPPED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """A segment, and those before it."""

    key: SegmentKey
    before: tuple[SegmentKey, ...]

    def at(self, records: int) -> Position:
        """Return the position after so many records."""
        return Position(self.key, records, self.before)


@dataclass(slots=True)
class Entry:
    """A message to be played; `number` of its segment's records come before it."""

    message: Message
    time_us: int
    place: Place
    number: int


def playback_of(
    objects: Objects,
    bucket: str,
    request: ReplayRequest,
    position: Position | None,
    say: Callable[[str], None],
) -> "Playback":
    """Return what `request` wants from `position` on; reading begins at once. Close it."""
    selection = Selection(objects, bucket, request, position)
    return Playback(request, Ahead(objects, bucket, selection, say=say), position)


class Playback:
    """Gives what a request wants, in the archive's order, each message once.

    Raises (`entries`):
        ObjectError: S3 refuses, or was away for too long.
    """

    def __init__(self, request: ReplayRequest, ahead: Ahead, start: Position | None) -> None:
        self._request, self._ahead, self._start = request, ahead, start
        self._repeats = Repeats()
        self._place: Place | None = None
        self._number = self._done = 0
        self._file: BinaryIO | None = None
        #: bytes of the segments that were read to their end
        self._done_bytes = 0
        #: entry after entry; None says that the next one isn't there yet
        self.entries = self._read()
        #: how many records were stored twice, and what is wrong with which segments
        self.repeats = 0
        self.problems: list[str] = []

    @property
    def position(self) -> Position | None:
        """Everything before it was given or isn't wanted; None before anything was read."""
        if self._place is None or self._number < self._done:
            return self._start
        return self._place.at(self._number)

    @property
    def read_bytes(self) -> int:
        """How many bytes of segments were read."""
        return self._done_bytes + (self._file.tell() if self._file else 0)

    def close(self) -> None:
        """Give the disk back."""
        self.entries.close()
        self._ahead.close()

    def _read(self) -> Generator[Entry | None]:
        while not self._ahead.over:
            fetched = self._ahead.take()
            if fetched is None:
                if not self._ahead.over:
                    yield None
                continue
            yield from self._of_segment(fetched)

    def _begin(self, segment: Segment) -> Place:
        earlier = self._place
        before = (*earlier.before, earlier.key)[-REACH_SEGMENTS:] if earlier else ()
        self._place, self._number = Place(segment.key, before), 0
        self._done = sys.maxsize if segment.done is None else segment.done
        self._repeats.next_segment()
        return self._place

    def _of_segment(self, fetched: Fetched) -> Iterator[Entry | None]:
        if fetched.file is None:
            self._note(fetched.segment, str(fetched.problem))
            return
        place = self._begin(fetched.segment)
        with fetched.file as file:
            self._file = file
            try:
                yield from self._wanted(place, file)
            except (SegmentDamagedError, ValueError) as error:
                self._note(fetched.segment, str(error))
            finally:
                self._done_bytes += file.tell()
                self._file = None

    def _wanted(self, place: Place, file: BinaryIO) -> Iterator[Entry | None]:
        skipped = 0
        for record in read_segment(file):
            number, self._number = self._number, self._number + 1
            us = time_us(record)
            if is_over(self._request, us):
                self._ahead.close()
                return
            if self._is_wanted(record, us, number):
                yield Entry(message_of(record), us, place, number)
                continue
            skipped += 1
            if skipped % _SKIPPED_AT_ONCE == 0:
                yield None

    def _is_wanted(self, record: Record, us: int, number: int) -> bool:
        is_repeat = self._repeats.is_repeat(record)
        if number < self._done:
            return False
        request = self._request
        if request.since_us is not None and us < request.since_us:
            return False
        if request.until_us is not None and us > request.until_us:
            return False
        self.repeats += is_repeat
        return not is_repeat

    def _note(self, segment: Segment, problem: str) -> None:
        if segment.done is not None:
            self.problems.append(f"{segment.key.key}: {problem}")
