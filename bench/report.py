"""What was measured, in words: on the terminal, and in docs/performance.md with plots."""

import os
import platform
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.path import Turn
from bench.plot import Bar, bars
from bench.results import Result
from bench.scenario import ByContender, Goal, Scenario, median, median_cpu

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PLOTS = PAGE.parent / "plots"
_DIGITLESS = 100.0
#: From so many measurements on, the 95th percentile says something.
_MANY = 20


def line(one: Turn) -> str:
    """Return a turn in words."""
    if one.problem:
        return f"{one.contender}: not measured: {one.problem}"
    cpu = "" if one.cpu_us is None else f", {one.cpu_us:.1f} us CPU a message or MiB"
    memory = "" if one.memory_bytes is None else f", {_mib(one.memory_bytes)} more"
    return f"{one.contender}: {number(one.rate)} {one.unit}{cpu}{memory}"


def write(scenario: Scenario, result: Result) -> str:
    """Keep a result, plot it, put it into the page; return what was put there."""
    result.keep(scenario.name)
    if result.problem:
        written = f"{_title(scenario)}\n\n{result.at}: not measured: {result.problem}"
    else:
        written = _section(scenario, result)
        PLOTS.mkdir(exist_ok=True)
        (PLOTS / f"{scenario.name}.svg").write_text(_plot(scenario, result.by_contender()))
    put(scenario.name, written)
    return written


def put(name: str, written: str) -> None:
    """Put a part into the page."""
    PAGE.write_text(placed(PAGE.read_text(), name, written))


def placed(page: str, name: str, written: str) -> str:
    """Return the page with this scenario's part replaced, or added at its end. Pure."""
    start, end = f"<!-- bench: {name} -->", f"<!-- end: {name} -->"
    part = f"{start}\n{written}\n{end}"
    found = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if found.search(page):
        return found.sub(lambda _match: part, page)
    return f"{page.rstrip()}\n\n{part}\n"


def _title(scenario: Scenario) -> str:
    return f"### {scenario.name}: {scenario.question}"


def _section(scenario: Scenario, result: Result) -> str:
    by_name = result.by_contender()
    rounds = max(map(len, by_name.values()))
    turns = f"{rounds} turns at most of each, {result.took_s:.0f} s in all"
    lines = [
        _title(scenario),
        "",
        f"{result.at}, {machine()}, load before it {result.load:.1f}, {turns}.",
        "",
        *_table(scenario, by_name),
    ]
    for problem in result.problems():
        lines += ["", f"Not measured: {problem}."]
    if scenario.goals:
        lines += ["", "| target | in this run |", "| --- | --- |"]
        lines += [f"| {goal.text} | {verdict(goal, by_name)} |" for goal in scenario.goals]
    return "\n".join([*lines, "", f"![{scenario.name}](plots/{scenario.name}.svg)"])


def _table(scenario: Scenario, by_name: ByContender) -> list[str]:
    lines = [
        "| contender | ratio | median | lowest to highest | CPU, each | broker's CPU | memory |",
        f"|{' --- |' * 7}",
    ]
    yardstick = by_name[scenario.yardstick]
    for name, mine in by_name.items():
        shown = f"**{name}**" if name == scenario.yardstick else name
        share = f"{median(mine) / median(yardstick):.2f}" if _alike(mine, yardstick) else ""
        peaks = [one.memory_bytes for one in mine if one.memory_bytes is not None]
        memory = _mib(max(peaks)) if peaks else ""
        middle = f"{number(median(mine))} {mine[0].unit}"
        brokers = [one.broker_us for one in mine if one.broker_us is not None]
        broker = f"{statistics.median(brokers):.1f} us" if brokers else ""
        cells = (shown, share, middle, _spread(mine), _costs(mine, yardstick), broker, memory)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _alike(mine: Sequence[Turn], others: Sequence[Turn]) -> bool:
    return mine[0].unit == others[0].unit


def _costs(mine: Sequence[Turn], yardstick: Sequence[Turn]) -> str:
    cpu, theirs = median_cpu(mine), median_cpu(yardstick)
    if cpu is None:
        return ""
    share = f" ({cpu / theirs:.2f})" if theirs and mine is not yardstick else ""
    return f"{cpu:.1f} us{share}"


def verdict(goal: Goal, by_name: ByContender) -> str:
    """Say in words what was measured of a target."""
    try:
        measured = goal.measure(by_name)
    except KeyError as error:
        return f"not measured: no turn of {error.args[0]}"
    return f"{'met' if goal.met(measured) else '**missed**'}: {number(measured)}"


def _plot(scenario: Scenario, by_name: ByContender) -> str:
    rows = []
    yardsticks = by_name[scenario.yardstick]
    for name, mine in by_name.items():
        if not _alike(mine, yardsticks):
            continue  # on another scale
        rates = [one.rate for one in mine]
        label = f"{number(median(mine))} {mine[0].unit}"
        yardstick = name == scenario.yardstick
        rows.append(Bar(name, median(mine), min(rates), max(rates), label, yardstick))
    return bars(scenario.question, rows)


def _spread(turns: Sequence[Turn]) -> str:
    rates = [one.rate for one in turns]
    spread = f"{number(min(rates))}-{number(max(rates))}"
    if len(rates) >= _MANY:
        spread += f", p95 {number(statistics.quantiles(rates, n=20)[-1])}"
    return spread


def number(measured: float) -> str:
    """Return a measured number without digits that say nothing."""
    if measured >= _DIGITLESS:
        return f"{measured:,.0f}"
    return f"{measured:.1f}" if measured >= _DIGITLESS / 10 else f"{measured:.2f}"


def _mib(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


def now() -> str:
    """Return the time as the page has it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def machine() -> str:
    """Say what it ran on, and with what."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", info)
    cpu = f"{os.cpu_count()} x {model[1] if model else platform.machine()}"
    return f"{cpu}, Python {platform.python_version()}, pika {version('pika')}"
