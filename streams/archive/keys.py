"""Where the segments of an archive lie. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

from streams.access import ARCHIVES
from streams.errors import ArchiveKeyError
from streams.names import check_name

_ROOT = ARCHIVES
_ID = re.compile(r"[0-9a-z]{1,40}", re.ASCII)
_KEY = re.compile(
    r"archives/(?P<stream>[^/]+)/(?P<day>\d{4}/\d\d/\d\d)/"
    r"(?P<arrival>\d{8}T\d{6}\.\d{6}Z)-(?P<id>[0-9a-z]{1,40})\.avro",
    re.ASCII,
)
_ARRIVAL = "%Y%m%dT%H%M%S.%fZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class SegmentKey:
    """A segment's key taken apart; `arrived_us` is its first message's, in us since 1970.

    The text of an arrival has a fixed width, so keys of one stream sort by time as plain text.
    """

    stream: str
    arrived_us: int
    id: str

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        if not _ID.fullmatch(self.id):
            raise ArchiveKeyError(f"segment id {self.id!r}: use 0-9 and a-z, 40 characters at most")

    @property
    def arrived_at(self) -> datetime:
        """The arrival as a time."""
        return time_of(self.arrived_us)

    @property
    def key(self) -> str:
        """The object's key."""
        arrived = self.arrived_at
        name = f"{_text(arrived)}-{self.id}.avro"
        return f"{day_prefix(self.stream, arrived.date())}{name}"

    @classmethod
    def parse(cls, key: str) -> Self:
        """Take a key apart.

        Raises:
            ArchiveKeyError: it isn't a segment's.
        """
        if not (found := _KEY.fullmatch(key)):
            raise ArchiveKeyError(f"object {key!r} isn't a segment of an archive")
        try:
            arrived = datetime.strptime(found["arrival"], _ARRIVAL).replace(tzinfo=UTC)
        except ValueError:
            raise ArchiveKeyError(
                f"object {key!r} isn't a segment: there is no such time"
            ) from None
        parsed = cls(found["stream"], us_of(arrived), found["id"])
        if parsed.key != key:
            raise ArchiveKeyError(f"object {key!r} isn't a segment: it lies under another day")
        return parsed


def stream_prefix(stream: str) -> str:
    """Return the prefix of all segments of `stream`."""
    return f"{_ROOT}{check_name('stream', stream)}/"


def day_prefix(stream: str, day: date) -> str:
    """Return the prefix of the segments of `stream` whose first message arrived on `day`, UTC."""
    return f"{stream_prefix(stream)}{day.year:04}/{day:%m/%d}/"


def time_of(us: int) -> datetime:
    """Return microseconds since 1970 as a time in UTC."""
    return _EPOCH + us * _MICROSECOND


def us_of(instant: datetime) -> int:
    """Return a time as microseconds since 1970, exactly."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _text(instant: datetime) -> str:
    # %Y has no fixed width before the year 1000
    return f"{instant.year:04}{instant:%m%dT%H%M%S}.{instant.microsecond:06}Z"
