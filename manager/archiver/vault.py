"""Segments in S3: stored, and found again by an archiver that takes a stream over. Blocking."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from manager.archiver.spool import Segment
from manager.model import Stored, Tally
from streams.archive import SegmentKey, stream_prefix
from streams.archive.keys import time_of, us_of
from streams.errors import ArchiveKeyError
from streams.objects import ObjectInfo, Objects
from streams.reference import ObjectReference

CONTENT_TYPE = "application/vnd.apache.avro"
#: Names of a segment's metadata.
_RECORDS, _LAST_ARRIVAL = "streamboss-records", "streamboss-last-arrival-us"


@dataclass(slots=True)
class Tail:
    """The end of an archive: where it goes on, and what the store doesn't know yet.

    The last segment that the store doesn't know may not be acknowledged: then its messages come
    again, and `repeated` holds it.
    """

    position: int = 0
    last_us: int = 0
    unknown: Stored | None = None
    repeated: BinaryIO | None = None

    def close(self) -> None:
        """Give the disk back."""
        if self.repeated is not None:
            self.repeated.close()


class Vault:
    """The segments of one bucket. Every method raises ObjectError where S3 can't or won't."""

    def __init__(self, objects: Objects, bucket: str, folder: Path) -> None:
        self._objects, self._bucket, self.folder = objects, bucket, folder

    def prepare(self) -> None:
        """Make sure that the bucket exists."""
        self._objects.ensure_bucket(self._bucket)

    def store(self, segment: Segment) -> Stored:
        """Store a segment that is closed; its disk is given back, whatever happens."""
        key = segment.key.key
        said = {_RECORDS: str(segment.records), _LAST_ARRIVAL: str(segment.last_us)}
        with segment.discarded():
            size_bytes = segment.size_bytes
            content = segment.spool.content()
            if content is None:
                segment.spool.save()
                path = segment.spool.path
                self._objects.upload_file(
                    path, self._bucket, key, content_type=CONTENT_TYPE, metadata=said
                )
            else:
                self._objects.put(
                    self._bucket, key, content, content_type=CONTENT_TYPE, metadata=said
                )
        return Stored(
            segments=1,
            size_bytes=size_bytes,
            first_position=segment.position,
            next_position=segment.next_position,
            first_at=time_of(segment.first_us),
            last_at=time_of(segment.last_us),
            last_key=key,
        )

    def tail(self, stream: str, tally: Tally, *, repeats: bool) -> Tail:
        """Return the end of an archive of which the store knows `tally`.

        With `repeats`, messages come that were delivered before, and perhaps stored.
        """
        unknown = self._unknown(stream, tally)
        if unknown is None:
            last_us = us_of(tally.last_at) if tally.last_at else 0
            return Tail(tally.next_position, last_us)
        found = Tail(unknown.next_position, us_of(unknown.last_at), unknown)
        if repeats:
            found.repeated = self._fetched(unknown.last_key)
        return found

    def segments(self, stream: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Give the segments of a stream's archive, in order."""
        for info in self._objects.list(self._bucket, stream_prefix(stream), after=after):
            try:
                SegmentKey.parse(info.key)
            except ArchiveKeyError:
                continue  # somebody else's object
            yield info

    def delete(self, keys: list[str]) -> None:
        """Remove segments."""
        self._objects.delete(self._bucket, keys)

    def _unknown(self, stream: str, tally: Tally) -> Stored | None:
        """Return the segments that the store hasn't heard of, as one; None if it has of all."""
        first = last = None
        segments = size_bytes = 0
        for info in self.segments(stream, after=tally.last_key):
            first, last = first or info, info
            segments += 1
            size_bytes += info.size
        if first is None or last is None:
            return None
        key, said = SegmentKey.parse(last.key), self._objects.info(self._bucket, last.key).metadata
        records = int(said.get(_RECORDS, 0))
        return Stored(
            segments=segments,
            size_bytes=size_bytes,
            first_position=position_of(first.key),
            next_position=position_of(last.key) + records,
            first_at=SegmentKey.parse(first.key).arrived_at,
            last_at=time_of(int(said.get(_LAST_ARRIVAL, key.arrived_us))),
            last_key=last.key,
        )

    def _fetched(self, key: str) -> BinaryIO:
        file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - it is handed on
        try:
            self._objects.fetch_into(ObjectReference(self._bucket, key), file)
        except BaseException:
            file.close()
            raise
        return file


def position_of(key: str) -> int:
    """Return the position of a segment's first record; 0 where another's archiver counted else."""
    number = SegmentKey.parse(key).id
    return int(number) if number.isdecimal() else 0
