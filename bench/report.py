"""What was measured, in words: on the terminal, as JSON, and in docs/performance.md with plots."""

import json
import os
import platform
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.path import Turn
from bench.plot import Bar, bars
from bench.scenario import ByContender, Scenario, median, median_cpu

_HERE = Path(__file__).parent
RESULTS = _HERE / "results"
PAGE = _HERE.parent / "docs" / "performance.md"
PLOTS = PAGE.parent / "plots"
_DIGITLESS = 100.0
#: From so many measurements on, the 95th percentile says something.
_MANY = 20


def line(one: Turn) -> str:
    """Return a turn in words."""
    cpu = "" if one.cpu_us is None else f", {one.cpu_us:.1f} us CPU a message or MiB"
    memory = "" if one.memory_bytes is None else f", {_mib(one.memory_bytes)} more"
    return f"{one.contender}: {_number(one.rate)} {one.unit}{cpu}{memory}"


def keep(scenario: Scenario, turns: Sequence[Turn], load: float) -> str:
    """Keep the turns as JSON, plot them, put them into the page; return what was put there."""
    by_name = defaultdict[str, list[Turn]](list)
    for one in turns:
        by_name[one.contender].append(one)
    written = _section(scenario, by_name, load)
    RESULTS.mkdir(exist_ok=True)
    record = {"at": _now(), "load": load, "turns": [asdict(one) for one in turns]}
    (RESULTS / f"{scenario.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / f"{scenario.name}.svg").write_text(_plot(scenario, by_name))
    PAGE.write_text(placed(PAGE.read_text(), scenario.name, written))
    return written


def placed(page: str, name: str, written: str) -> str:
    """Return the page with this scenario's part replaced, or added at its end. Pure."""
    start, end = f"<!-- bench: {name} -->", f"<!-- end: {name} -->"
    part = f"{start}\n{written}\n{end}"
    found = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if found.search(page):
        return found.sub(lambda _match: part, page)
    return f"{page.rstrip()}\n\n{part}\n"


def _section(scenario: Scenario, by_name: ByContender, load: float) -> str:
    rounds = max(map(len, by_name.values()))
    machine = f"{_now()}, {_machine()}, load before it {load:.1f}, {rounds} turns at most of each."
    lines = [
        f"### {scenario.name}: {scenario.question}",
        "",
        machine,
        "",
        *_table(scenario, by_name),
    ]
    if scenario.goals:
        lines += ["", "| target | in this run |", "| --- | --- |", *_verdicts(scenario, by_name)]
    return "\n".join([*lines, "", f"![{scenario.name}](plots/{scenario.name}.svg)"])


def _table(scenario: Scenario, by_name: ByContender) -> list[str]:
    yardstick = by_name[scenario.yardstick]
    theirs = median_cpu(yardstick)
    lines = [
        "| contender | ratio | median | lowest to highest | CPU a message or MiB | more memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, mine in by_name.items():
        shown = f"**{name}**" if name == scenario.yardstick else name
        share, cpu = median(mine) / median(yardstick), median_cpu(mine)
        costs = "" if cpu is None else f"{cpu:.1f} us"
        if cpu is not None and theirs and name != scenario.yardstick:
            costs += f" ({cpu / theirs:.2f})"
        peaks = [one.memory_bytes for one in mine if one.memory_bytes is not None]
        memory = _mib(max(peaks)) if peaks else ""
        middle = f"{_number(median(mine))} {mine[0].unit}"
        lines.append(f"| {shown} | {share:.2f} | {middle} | {_spread(mine)} | {costs} | {memory} |")
    return lines


def _verdicts(scenario: Scenario, by_name: ByContender) -> list[str]:
    lines = []
    for goal in scenario.goals:
        measured = goal.measure(by_name)
        verdict = "met" if goal.met(measured) else "**missed**"
        lines.append(f"| {goal.text} | {verdict}: {_number(measured)} |")
    return lines


def _plot(scenario: Scenario, by_name: ByContender) -> str:
    rows = []
    for name, mine in by_name.items():
        rates = [one.rate for one in mine]
        label = f"{_number(median(mine))} {mine[0].unit}"
        yardstick = name == scenario.yardstick
        rows.append(Bar(name, median(mine), min(rates), max(rates), label, yardstick))
    return bars(scenario.question, rows)


def _spread(turns: Sequence[Turn]) -> str:
    rates = [one.rate for one in turns]
    spread = f"{_number(min(rates))}-{_number(max(rates))}"
    if len(rates) >= _MANY:
        spread += f", p95 {_number(statistics.quantiles(rates, n=20)[-1])}"
    return spread


def _number(measured: float) -> str:
    """Return a measured number without digits that say nothing."""
    if measured >= _DIGITLESS:
        return f"{measured:,.0f}"
    return f"{measured:.1f}" if measured >= _DIGITLESS / 10 else f"{measured:.2f}"


def _mib(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _machine() -> str:
    """Say what it ran on, and with what."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", info)
    cpu = f"{os.cpu_count()} x {model[1] if model else platform.machine()}"
    return f"{cpu}, Python {platform.python_version()}, pika {version('pika')}"
