"""What holds over a day of demand, whatever comes: budget, reasons, bounds, calm, an end."""

import pytest

from tests.manager.machines.day import Day, Size

WHOLE = Size(
    operations=1000,
    applications=50,
    streams=10_000,
    near=400,
    far=600,
    price_per_day=3000.0,
    hours=24.0,
    step_s=60.0,
)


def test_the_rules_hold_for_hours() -> None:
    day = Day(Size(), seed=1)
    day.run()
    assert day.most > 20


def test_the_rules_hold_where_little_may_be_paid() -> None:
    day = Day(Size(near=5, price_per_day=10.0), seed=3)
    day.run()
    assert day.world.spent("far") > 5.0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_rules_hold_for_a_day_of_a_thousand_machines() -> None:
    day = Day(WHOLE, seed=4)
    day.run()
    assert day.most > 500
