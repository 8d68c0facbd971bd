"""Positions as text, and back."""

import pytest

from manager.replays.request import Position, PositionError
from streams.archive import SegmentKey

KEYS = tuple(SegmentKey("a.b", 1_795_600_000_000_001 + n, f"{n:x}") for n in range(3))


@pytest.mark.parametrize("before", [(), KEYS[:1], KEYS[:2]])
def test_a_position_is_read_as_it_is_written(before: tuple[SegmentKey, ...]) -> None:
    position = Position(KEYS[2], 17, before)
    assert Position.parse("a.b", str(position)) == position


@pytest.mark.parametrize("text", ["", "17", "x:1", "20261125T101500.000000Z-a:", ":1", ",:1"])
def test_what_is_no_position_is_said(text: str) -> None:
    with pytest.raises(PositionError, match="give the one that"):
        Position.parse("a.b", text)
