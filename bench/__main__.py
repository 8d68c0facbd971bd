"""Run the suite: `make bench`, `make bench ONLY=service`."""

import json
import os
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from bench.path import Turn
from bench.scenarios import SCENARIOS, Scenario
from tests.rabbit import BrokerNode, running_node

ROUNDS = int(os.environ.get("ROUNDS", "3"))
_DIGITLESS = 100.0
#: From so many measurements on, the 95th percentile says something.
_MANY = 20
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the scenarios named on the command line, or all."""
    chosen = [each for each in SCENARIOS if not sys.argv[1:] or each.name in sys.argv[1:]]
    with running_node() as node:
        for scenario in chosen:
            report(scenario, measure(scenario, node))


def measure(scenario: Scenario, node: BrokerNode) -> list[Turn]:
    """Let all contenders take turns, `ROUNDS` times."""
    turns: list[Turn] = []
    for turn in range(ROUNDS):
        for one in scenario.round(node):
            print(f"{scenario.name} {turn + 1}/{ROUNDS}: {line(one)}", file=sys.stderr)
            turns.append(one)
    return turns


def line(one: Turn) -> str:
    """Return a turn in words."""
    cpu = "" if one.cpu_us is None else f", {one.cpu_us:.1f} us CPU a message or MiB"
    memory = "" if one.memory_bytes is None else f", {mib(one.memory_bytes)} more"
    return f"{one.contender}: {number(one.rate)} {one.unit}{cpu}{memory}"


def mib(count: float) -> str:
    """Return a number of bytes as MiB."""
    return f"{count / 2**20:.0f} MiB"


def number(value: float) -> str:
    """Return a measured number without digits that say nothing."""
    return f"{value:,.0f}" if value >= _DIGITLESS else f"{value:.1f}"


def report(scenario: Scenario, turns: list[Turn]) -> None:
    """Print medians, spreads and ratios; keep the turns as JSON."""
    by_name: dict[str, list[Turn]] = defaultdict(list)
    for one in turns:
        by_name[one.contender].append(one)
    yardstick = by_name[scenario.yardstick]
    print(f"\n## {scenario.name}: {scenario.question}\n\nTarget: {scenario.target}\n")
    print("| contender | ratio | median | spread | CPU a message or MiB | CPU ratio | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, mine in by_name.items():
        print(row(name, mine, yardstick))
    RESULTS.mkdir(exist_ok=True)
    record = {"at": time.time(), "turns": [asdict(one) for one in turns]}
    (RESULTS / f"{scenario.name}.json").write_text(json.dumps(record, indent=1) + "\n")


def row(name: str, mine: list[Turn], yardstick: list[Turn]) -> str:
    """Return one line of the table."""
    rates = [one.rate for one in mine]
    ratio = statistics.median(rates) / statistics.median(one.rate for one in yardstick)
    cpu, cpu_ratio = "-", "-"
    cpus = [one.cpu_us for one in mine if one.cpu_us is not None]
    theirs = [one.cpu_us for one in yardstick if one.cpu_us is not None]
    if cpus:
        cpu = f"{statistics.median(cpus):.1f} us"
    if cpus and theirs:
        cpu_ratio = f"{statistics.median(cpus) / statistics.median(theirs):.2f}"
    median = f"{number(statistics.median(rates))} {mine[0].unit}"
    spread = f"{number(min(rates))}-{number(max(rates))}"
    if len(rates) >= _MANY:
        spread += f", p95 {number(statistics.quantiles(rates, n=20)[-1])}"
    peaks = [one.memory_bytes for one in mine if one.memory_bytes is not None]
    memory = mib(max(peaks)) if peaks else "-"
    return f"| {name} | {ratio:.2f} | {median} | {spread} | {cpu} | {cpu_ratio} | {memory} |"


if __name__ == "__main__":
    main()
