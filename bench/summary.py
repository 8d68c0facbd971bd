"""The page's first table: every target, and what the latest run of its scenario made of it."""

from collections.abc import Mapping, Sequence

from bench.report import verdict
from bench.results import Result
from bench.scenario import Goal, Scenario


def summary(scenarios: Sequence[Scenario], results: Mapping[str, Result]) -> str:
    """Return the table, and how long each scenario took. Pure."""
    lines = ["| scenario | took | target | in its latest run |", "| --- | --- | --- | --- |"]
    met = goals = 0
    for scenario in scenarios:
        result = results.get(scenario.name)
        took = f"{result.took_s:.0f} s" if result else ""
        head = f"[{scenario.name}](#{anchor(scenario)})"
        for goal in scenario.goals or (None,):
            said = _said(goal, result)
            goals += goal is not None
            met += said.startswith("met")
            lines.append(f"| {head} | {took} | {goal.text if goal else ''} | {said} |")
            head = took = ""
    return "\n".join([f"{met} of {goals} targets were met.", "", *lines])


def anchor(scenario: Scenario) -> str:
    """Return what the scenario's title is reached by in the page."""
    title = f"{scenario.name}: {scenario.question}".lower().replace(" ", "-")
    return "".join(letter for letter in title if letter.isalnum() or letter in "-_")


def _said(goal: Goal | None, result: Result | None) -> str:
    if result is None:
        return "not measured yet"
    if result.problem:
        return f"not measured: {result.problem}"
    return verdict(goal, result.by_contender()) if goal else "measured; no target"
