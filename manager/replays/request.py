"""What somebody wants replayed, and how far that is. Pure."""

import secrets
from dataclasses import dataclass, field
from typing import Self

from manager.replays.speed import MAX, Speed
from streams.archive import Record, SegmentKey
from streams.errors import StreamsError


class PositionError(StreamsError):
    """A position that isn't one of this archive."""


def new_id() -> str:
    """Return an id for a replay."""
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Messages of `stream`'s archive, onto `onto`; bounds in us since 1970, both within.

    A message counts by when it was published, and at the latest by when it reached the archive.
    """

    stream: str
    onto: str
    since_us: int | None = None
    until_us: int | None = None
    speed: Speed = MAX
    limit: int | None = None
    fresh_ids: bool = False
    id: str = field(default_factory=new_id)


def time_us(record: Record) -> int:
    """Return the time by which a record counts: nothing is published after it arrived."""
    return min(record.published_us, record.arrived_us)


@dataclass(frozen=True, slots=True)
class Position:
    """So many `records` of `segment` are done; `before` are the segments before it, at most two.

    As text: `SEGMENT:RECORDS`, with the segments before it in front, each followed by a comma.
    """

    segment: SegmentKey
    records: int
    before: tuple[SegmentKey, ...] = ()

    def __str__(self) -> str:
        names = [_name(key) for key in (*self.before, self.segment)]
        return f"{','.join(names)}:{self.records}"

    @classmethod
    def parse(cls, stream: str, text: str) -> Self:
        """Read a position in the archive of `stream`.

        Raises:
            PositionError: it is none.
        """
        names, _, records = text.rpartition(":")
        try:
            *before, segment = (_key(stream, name) for name in names.split(","))
            return cls(segment, int(records), tuple(before[-2:]))
        except (StreamsError, ValueError):
            raise PositionError(
                f"position {text!r}: give the one that the interrupted replay has printed"
            ) from None


def _name(segment: SegmentKey) -> str:
    return segment.key.rpartition("/")[2].removesuffix(".avro")


def _key(stream: str, name: str) -> SegmentKey:
    day = f"{name[:4]}/{name[4:6]}/{name[6:8]}"
    return SegmentKey.parse(f"archives/{stream}/{day}/{name}.avro")
