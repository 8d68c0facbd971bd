"""How the bench tells what it measured."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.path import Turn
from bench.pinning import pinned
from bench.plot import Bar, bars
from bench.report import line, placed, verdict
from bench.results import Result, kept
from bench.scenario import Goal, Scenario, cpu_ratio, ratio
from bench.scenarios import SCENARIOS
from bench.sizing import Constants, need, sizing
from bench.summary import summary

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


def test_a_result_is_read_as_it_was_kept(tmp_path: Path) -> None:
    result = Result("now", 0.5, 12.0, [Turn("a", 1.0, 2.0, "s", 3, 4.0), Turn("b", 1.0)])
    result.keep("some", tmp_path)
    assert kept(tmp_path) == {"some": result}


def test_the_summary_says_of_every_target_whether_it_was_met_missed_or_not_measured() -> None:
    def scenario(name: str, at_least: float) -> Scenario:
        goals = (Goal(f"of {name}", ratio("ours", "peer"), at_least),)
        return Scenario(name, f"How is {name}?", "peer", lambda _node: iter(()), goals)

    asked = [scenario("a", 2), scenario("b", 3), scenario("c", 1), scenario("d", 1)]
    turns = [one for each in TURNS.values() for one in each]
    well, broken = Result("now", 1.0, 9.0, turns), Result("now", 1.0, 9.0, problem="no pip")
    table = summary(asked, {"a": well, "b": well, "c": broken})
    assert table.startswith("1 of 4 targets were met.")
    for said in ("met: 2.00", "**missed**: 2.00", "not measured: no pip", "not measured yet"):
        assert table.count(f"| {said} |") == 1
    assert "[a](#a-how-is-a)" in table


def test_twice_the_messages_take_twice_the_cores_and_more_instances() -> None:
    constants = Constants(20.0, 1.0, 50.0, 2.0, 3.0, 30.0, 0.1, 900.0)
    once, twice = (need(constants, rate, 1024, 3) for rate in (40_000, 80_000))
    assert once.operator_cores == pytest.approx(2.52)
    assert once.broker_cores == pytest.approx(8.32)
    assert twice.operator_cores == pytest.approx(2 * once.operator_cores)
    assert (once.instances, twice.instances) == (1, 2)


def test_sizing_names_what_it_lacks() -> None:
    assert "operations" in sizing({})


def test_a_contender_without_a_rate_is_told_and_ends_no_other() -> None:
    turns = [*TURNS["peer"], Turn("ours", 0, problem="3 of 10 were lost")]
    result = Result("now", 0.5, 12.0, turns)
    assert list(result.by_contender()) == ["peer"]
    assert result.problems() == ["ours: 3 of 10 were lost"]
    assert line(turns[-1]) == "ours: not measured: 3 of 10 were lost"
    goal = Goal("at least half", ratio("ours", "peer"), at_least=0.5)
    assert verdict(goal, result.by_contender()) == "not measured: no turn of ours"


def test_a_pinned_process_may_go_where_it_could_before() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(os.getpid(), core):
        assert os.sched_getaffinity(0) == {core}
        started = "import os; print(*os.sched_getaffinity(0))"
        inside = subprocess.run([sys.executable, "-c", started], capture_output=True, check=True)
    assert inside.stdout.split() == [b"%d" % core]
    assert os.sched_getaffinity(0) == before
