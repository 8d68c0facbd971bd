"""Which segments a replay reads: by the times in their names, listed as they are needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from manager.replays.request import Position, ReplayRequest
from streams.archive import SegmentKey, stream_prefix
from streams.errors import ArchiveKeyError, ObjectMissingError
from streams.objects import ObjectInfo, Objects

#: A segment is closed long before it holds messages of so much time.
_LONGEST_US = 600 * 1_000_000
#: Clocks of publishers are ahead of the archiver's by less than this.
SKEW_US = 5 * 1_000_000
#: The first id of all.
_FIRST = "0"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment to be read.

    Of its records the first `done` were played before; None: none is to be played, they are only
    remembered. One that is `late` begins after the time wanted: most likely it isn't needed.
    """

    key: SegmentKey
    done: int | None = 0
    info: ObjectInfo | None = None
    late: bool = False


class Selection:
    """The segments of one replay, in order, from `position` on where there is one.

    Iterating lists, page by page and no further than it is asked; after a failure of S3 it may be
    iterated again, and goes on where it was.
    """

    def __init__(
        self, objects: Objects, bucket: str, request: ReplayRequest, position: Position | None
    ) -> None:
        self._objects, self._bucket, self._request = objects, bucket, request
        self._prefix = stream_prefix(request.stream)
        self._waiting: list[Segment] = []
        self._after: str | None = None
        if position is not None:
            self._waiting = [Segment(key, done=None) for key in position.before]
            self._waiting.append(Segment(position.segment, done=position.records))
            self._after = position.segment.key
        elif request.since_us is not None:
            self._after = _first_after(request.stream, request.since_us - _LONGEST_US)
        self._candidate: Segment | None = None

    def __iter__(self) -> Iterator[Segment]:
        while self._waiting:
            yield self._waiting.pop(0)
        for info in self._objects.list(self._bucket, self._prefix, after=self._after):
            self._after = info.key
            yield from self._chosen(info)
        if self._candidate is not None:
            candidate, self._candidate = self._candidate, None
            yield candidate

    def _chosen(self, info: ObjectInfo) -> Iterator[Segment]:
        """Give the segment that has just become one to be read, if any.

        Of those that begin before the time wanted only the last may hold messages of that time: it
        is known to be the last when the next one begins later.
        """
        try:
            key = SegmentKey.parse(info.key)
        except ArchiveKeyError:
            return  # somebody else's object
        segment = Segment(key, info=info, late=is_over(self._request, key.arrived_us))
        since_us = self._request.since_us
        if since_us is not None and segment.key.arrived_us < since_us - SKEW_US:
            self._candidate = segment
            return
        if self._candidate is not None:
            candidate, self._candidate = self._candidate, None
            yield candidate
        yield segment


def is_over(request: ReplayRequest, time_us: int) -> bool:
    """Say whether nothing that is wanted follows a message of that time."""
    return request.until_us is not None and time_us > request.until_us + SKEW_US


def must_exist(objects: Objects, bucket: str, stream: str) -> None:
    """Do nothing if there is an archive of `stream`.

    Raises:
        ObjectMissingError: there is none; says how to begin one.
        ObjectError: S3 or the bucket can't be asked.
    """
    if not any(objects.list(bucket, stream_prefix(stream))):
        raise ObjectMissingError(
            f"stream {stream!r} has no archive in bucket {bucket!r}:"
            f" 'streamboss archive-stream {stream}' begins one"
        )


def stored_since(
    objects: Objects, bucket: str, stream: str, since_us: int, *, most: int
) -> Iterator[tuple[int, int]]:
    """Give when each segment of a stream began, in us since 1970, and its bytes: `most` of them."""
    after = _first_after(stream, since_us)
    for info in islice(objects.list(bucket, stream_prefix(stream), after=after), most):
        try:
            yield SegmentKey.parse(info.key).arrived_us, info.size
        except ArchiveKeyError:
            continue  # somebody else's object


def _first_after(stream: str, us: int) -> str:
    return SegmentKey(stream, max(0, us), _FIRST).key
