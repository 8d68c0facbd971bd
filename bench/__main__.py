"""Run the suite: `make bench`, `make bench ONLY=service`, `ROUNDS=5 make bench`."""

import os
import sys
import time
import traceback

from bench import report
from bench.path import Turn
from bench.scenario import Scenario
from bench.scenarios import SCENARIOS
from tests.rabbit import BrokerNode, running_node


def main() -> int:
    """Run the scenarios named on the command line, or all; one that fails ends no other."""
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
    started_s, load = time.monotonic(), os.getloadavg()[0]
    try:
        written = report.keep(scenario, _measure(scenario, node), load)
    except Exception:  # noqa: BLE001 - whatever it is, the others are still worth measuring
        traceback.print_exc()
        return False
    print(f"\n{written}\n\n({scenario.name} took {time.monotonic() - started_s:.0f} s)\n")
    return True


def _measure(scenario: Scenario, node: BrokerNode) -> list[Turn]:
    """Let all contenders take turns, round after round."""
    turns: list[Turn] = []
    rounds = int(os.environ.get("ROUNDS") or scenario.rounds)
    for number in range(rounds):
        for one in scenario.round(node):
            print(f"{scenario.name} {number + 1}/{rounds}: {report.line(one)}", file=sys.stderr)
            turns.append(one)
    return turns


if __name__ == "__main__":
    sys.exit(main())
