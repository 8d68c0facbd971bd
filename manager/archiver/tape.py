"""What becomes of each message of a stream: its place in the archive, its record, its segment.

After a crash messages come again, beginning with the first that wasn't acknowledged. If that is the
first of the archive's last segment, and all of that segment comes again, then it was stored and not
acknowledged: it isn't stored again.
"""

from collections.abc import Generator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from manager.archiver.spool import Segment
from manager.archiver.vault import Tail, position_of
from streams.archive import Record, message_of, read_segment, record_of, same
from streams.archive.record import is_made, made_id
from streams.errors import SegmentDamagedError
from streams.message import REPLAY_OF, Message, now_us


class Tape:
    """Takes a stream's messages in order, and cuts them into segments."""

    def __init__(self, folder: Path, stream: str, tail: Tail) -> None:
        self._folder, self._stream, self._tail = folder, stream, tail
        self._last_us = tail.last_us
        self._next_repeat: Record | None = None
        self._repeats: Generator[Record] = self._repeated()
        #: how many messages came that the last segment holds, and aren't written
        self._repeated_count = 0
        if tail.repeated is not None:
            self._expect()
        self.segment = Segment(folder, stream, tail.position)
        #: the last delivery taken, and how many were taken since the last cut
        self.tag = self.taken = 0

    @property
    def repeating(self) -> bool:
        """Whether all that came so far is in the last segment, and not yet all of that came."""
        return self._next_repeat is not None

    def add(self, tag: int, message: Message) -> None:
        """Take a message; one that a replay of this stream's own archive sent isn't kept."""
        self.tag = tag
        self.taken += 1
        if message.headers.get(REPLAY_OF) == self._stream:
            return
        if self._next_repeat is not None and self._is_repeat(message, self._next_repeat):
            return
        self._write(message)

    def skip(self, tag: int) -> None:
        """Take a delivery that is no message of the stream."""
        self.tag = tag
        self.taken += 1

    def cut(self) -> Segment:
        """Close the segment and begin the next; return the closed one, which may be empty."""
        if self._next_repeat is not None:
            self._write_repeats()
        segment = self.segment
        segment.close()
        self.segment = Segment(self._folder, self._stream, segment.next_position)
        self.taken = 0
        return segment

    def discard(self) -> None:
        """Give the disk back."""
        self._repeats.close()
        self._tail.close()
        self.segment.spool.discard()

    def _is_repeat(self, message: Message, expected: Record) -> bool:
        """Say whether a message is the one that comes next in the last segment."""
        position = self._last_segment_position + self._repeated_count
        if same(self._record(message, position), expected):
            self._repeated_count += 1
            self._expect()
            return True
        self._write_repeats()
        return False

    @property
    def _last_segment_position(self) -> int:
        return position_of(self._tail.unknown.last_key) if self._tail.unknown else 0

    def _repeated(self) -> Generator[Record]:
        if self._tail.repeated is not None:
            self._tail.repeated.seek(0)
            yield from read_segment(self._tail.repeated)

    def _expect(self) -> None:
        """Look what comes next if the last segment comes again; nothing when all of it did."""
        try:
            self._next_repeat = next(self._repeats, None)
        except SegmentDamagedError:
            self._write_repeats()

    def _write_repeats(self) -> None:
        """Store what came again after all: it only looked like the last segment's beginning."""
        self._next_repeat = None
        for record in islice(self._repeated(), self._repeated_count):
            message = message_of(record)
            if is_made(record.message_id):
                message = replace(message, message_id=None)
            self._write(message)

    def _write(self, message: Message) -> None:
        self.segment.add(self._record(message, self.segment.next_position))

    def _record(self, message: Message, position: int) -> Record:
        # the clock may go back, or another archiver's may have been ahead: an archive doesn't
        self._last_us = max(self._last_us, now_us())
        if not message.message_id:
            message = replace(message, message_id=made_id(message, position=position))
        return record_of(message, arrived_us=self._last_us)
