"""Keys of segments: sorted as text they are sorted by time."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.archive import SegmentKey, day_prefix
from streams.archive.keys import us_of
from streams.errors import ArchiveKeyError, InvalidNameError

_US = st.integers(0, us_of(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)))
_NAMES = st.sampled_from(["my-stream", "a.b", "x_1", "a", "streamboss.events"])


def test_a_key_is_the_contracts() -> None:
    arrived = us_of(datetime(2026, 11, 25, 10, 15, 0, 123456, UTC))
    key = SegmentKey("my-stream", arrived, "0a1").key
    assert key == "archives/my-stream/2026/11/25/20261125T101500.123456Z-0a1.avro"
    assert key.startswith(day_prefix("my-stream", date(2026, 11, 25)))


@given(_NAMES, _US, st.from_regex(r"[0-9a-z]{1,40}", fullmatch=True))
def test_a_key_comes_back_as_it_was(stream: str, us: int, name: str) -> None:
    key = SegmentKey(stream, us, name)
    assert SegmentKey.parse(key.key) == key


@given(_US, _US)
def test_keys_sort_by_time(one: int, other: int) -> None:
    keys = sorted(SegmentKey("s", us, "0").key for us in (one, other))
    assert [SegmentKey.parse(key).arrived_us for key in keys] == sorted((one, other))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "archives/s/2026/11/25/x.avro",
        "archives/s/2026/11/24/20261125T101500.123456Z-0.avro",
        "archives/s/2026/13/25/20261325T101500.123456Z-0.avro",
        "archives/s/2026/11/25/20261125T101500.123456Z-0.avro.tmp",
        "archives/s/2026/11/25/20261125T101500Z-0.avro",
    ],
)
def test_other_objects_are_no_segments(key: str) -> None:
    with pytest.raises(ArchiveKeyError, match="segment"):
        SegmentKey.parse(key)


def test_illegal_names_and_ids_make_no_key() -> None:
    with pytest.raises(InvalidNameError):
        SegmentKey("a/b", 0, "0")
    with pytest.raises(ArchiveKeyError, match="0-9 and a-z"):
        SegmentKey("a", 0, "A-1")
