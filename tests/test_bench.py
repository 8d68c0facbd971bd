"""How the bench tells what it measured."""

from xml.etree import ElementTree as ET

from bench.path import Turn
from bench.plot import Bar, bars
from bench.report import placed
from bench.scenario import Goal, cpu_ratio, ratio
from bench.scenarios import SCENARIOS

TURNS = {
    "peer": [Turn("peer", 100.0, 20.0), Turn("peer", 120.0, 40.0), Turn("peer", 110.0, 30.0)],
    "ours": [Turn("ours", 220.0, 6.0)],
}


def test_a_scenarios_part_of_the_page_is_replaced_and_the_rest_stays() -> None:
    page = "before\n\n<!-- bench: a -->\nold\n<!-- end: a -->\n\nafter\n"
    assert placed(page, "a", "new \\1") == page.replace("old", "new \\1")


def test_a_scenario_without_a_part_gets_one_at_the_end() -> None:
    assert placed("text\n", "b", "new") == "text\n\n<!-- bench: b -->\nnew\n<!-- end: b -->\n"


def test_a_chart_is_well_formed_whatever_the_contenders_are_called() -> None:
    rows = [Bar("<a> & `b`", 1.0, 0.5, 2.0, "1 msg/s", yardstick=True)]
    chart = bars("x < y", rows)
    texts = [each.text for each in ET.fromstring(chart).iter() if each.text]  # noqa: S314 - ours
    assert {"x < y", "<a> & b", "1 msg/s"} <= set(texts)


def test_goals_are_of_medians() -> None:
    assert ratio("ours", "peer")(TURNS) == 2.0
    assert cpu_ratio("ours", "peer")(TURNS) == 0.2
    goal = Goal("at least half, at most as much", ratio("ours", "peer"), at_least=0.5, at_most=1)
    assert [goal.met(measured) for measured in (0.4, 0.5, 1.0, 1.1)] == [False, True, True, False]


def test_every_scenario_has_a_name_of_its_own() -> None:
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)
