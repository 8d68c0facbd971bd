"""Run the suite: `make bench`, `make bench ONLY=service`, `ROUNDS=5 make bench`.

A scenario that fails, or takes too long, ends no other, and takes nothing from what they measured.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import report
from bench.path import Turn
from bench.results import Result, kept
from bench.scenario import LeftOutError, Scenario
from bench.scenarios import SCENARIOS
from bench.sizing import sizing
from bench.summary import summary
from tests.rabbit import BrokerNode, running_node


def main() -> int:
    """Run the scenarios named on the command line, or all."""
    names = sys.argv[1:]
    unknown = set(names) - {each.name for each in SCENARIOS}
    if unknown:
        known = ", ".join(each.name for each in SCENARIOS)
        print(f"no scenario {', '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
        return 2
    chosen = [each for each in SCENARIOS if not names or each.name in names]
    with running_node() as node:
        failed = [each.name for each in chosen if not _run(each, node)]
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(scenario: Scenario, node: BrokerNode) -> bool:
    """Measure and report; say whether that went well."""
    started_s, load, at = time.monotonic(), os.getloadavg()[0], report.now()
    turns: list[Turn] = []
    problem, well = "", True
    try:
        with _deadline(scenario.longest_s):
            turns = _measure(scenario, node)
    except LeftOutError as error:
        problem = str(error)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the others are still worth measuring
        traceback.print_exc()
        problem, well = f"{type(error).__name__}: {error}".partition("\n")[0], False
    result = Result(at, load, time.monotonic() - started_s, turns, problem)
    print(f"\n{report.write(scenario, result)}\n\n({scenario.name} took {result.took_s:.0f} s)\n")
    report.put("summary", summary(SCENARIOS, kept()))
    report.put("sizing", sizing(kept()))
    return well


def _measure(scenario: Scenario, node: BrokerNode) -> list[Turn]:
    """Let all contenders take turns, round after round."""
    turns: list[Turn] = []
    rounds = int(os.environ.get("ROUNDS") or scenario.rounds)
    for number in range(rounds):
        for one in scenario.round(node):
            print(f"{scenario.name} {number + 1}/{rounds}: {report.line(one)}", file=sys.stderr)
            turns.append(one)
    return turns


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer."""

    def over(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    sys.exit(main())
