"""When the messages of a replay are due."""

import pytest

from manager.replays.speed import Pace, Speed, SpeedError


def due(speed: str, *published_s: float, now_s: float = 100.0) -> list[float]:
    """Return when messages published at these times are due, when the clock stands still."""
    pace = Pace(Speed.parse(speed))
    return [pace.due_s(int(at * 1_000_000), now_s) - now_s for at in published_s]


def test_real_keeps_the_pace_of_publication() -> None:
    assert due("real", 5, 6, 6.5, 16) == pytest.approx([0, 1, 1.5, 11])


def test_a_factor_shortens_it() -> None:
    assert due("10x", 5, 6, 6.5, 16) == pytest.approx([0, 0.1, 0.15, 1.1])


def test_what_was_published_out_of_order_makes_it_no_longer() -> None:
    assert due("real", 0, 10, 5, 15) == pytest.approx([0, 10, 10, 15])


def test_a_rate_is_even() -> None:
    assert due("100/s", 5, 6, 6.5) == pytest.approx([0, 0.01, 0.02])


def test_max_is_at_once() -> None:
    assert due("max", 5, 6, 1000) == [0, 0, 0]
    assert Pace(Speed.parse("max")).unbound


def test_who_was_held_up_makes_no_burst_of_it() -> None:
    pace = Pace(Speed.parse("10/s"))
    assert pace.due_s(0, 100.0) == 100.0
    assert pace.due_s(0, 160.0) == 160.0
    assert pace.due_s(0, 160.0) == pytest.approx(160.1)


@pytest.mark.parametrize("text", ["fast", "0x", "0/s", "-1x", "x", "10", "10 x", "1e3/s", ""])
def test_what_is_no_speed_is_said(text: str) -> None:
    with pytest.raises(SpeedError, match="use max, real, 10x or 100/s"):
        Speed.parse(text)


@pytest.mark.parametrize("text", ["max", "1x", "10x", "0.5x", "100/s", "2.5/s", "12345678.25/s"])
def test_a_speed_is_written_as_it_is_read(text: str) -> None:
    assert str(Speed.parse(text)) == text
