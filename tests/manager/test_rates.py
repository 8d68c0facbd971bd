"""What one operator does: measured only while it has enough to do."""

import pytest

from manager.rates import RateMeter, Rates
from streams.control import Counters, OperatorReport, OperatorState


def _reports(*acknowledged: int) -> dict[str, list[OperatorReport]]:
    return {
        "o": [
            OperatorReport(
                operation="o",
                revision=1,
                state=OperatorState.RUNNING,
                counters=Counters(acknowledged=count, published=count),
            )
            for count in acknowledged
        ]
    }


def test_a_trickle_doesnt_make_an_operator_look_slow() -> None:
    meter = RateMeter()
    for second in range(0, 101, 2):
        busy = {"o"} if second % 20 < 4 else set[str]()
        rates = meter.look(_reports(second // 20), busy, now_s=second)["o"]
    assert rates.rate_in == pytest.approx(1 / 20, rel=0.5)
    assert rates.per_operator is None, "it had work for a few seconds only"


def test_operators_that_have_just_come_dont_make_the_others_look_slow() -> None:
    meter = RateMeter()
    for second in range(0, 22, 2):
        meter.look(_reports(second * 5), {"o"}, now_s=second)
    rates = meter.look(_reports(22 * 5, 0, 0), {"o"}, now_s=22)["o"]
    assert rates.per_operator == pytest.approx(5, rel=0.2)


def test_counters_that_begin_anew_begin_a_new_measurement() -> None:
    meter = RateMeter()
    meter.look(_reports(1000), {"o"}, now_s=0)
    assert meter.look(_reports(3), {"o"}, now_s=20)["o"] == Rates(0.0, 0.0)
