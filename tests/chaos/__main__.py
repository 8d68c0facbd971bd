"""Chaos, seed after seed: `python -m tests.chaos --seeds 200`, or `--seed 17` once more."""

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.chaos.checker import Figures
from tests.chaos.rig import Ground, Rig, ground, rigged
from tests.chaos.run import run
from tests.chaos.schedule import schedule

#: A rig that serves for ever would hide what a fresh one shows.
_SEEDS_A_RIG = 50


class _Stand:
    """The present rig on one ground; a fresh one after a failure."""

    def __init__(self, on: Ground) -> None:
        self._on = on
        self._stack = ExitStack()
        self._rig: Rig | None = None
        self._used = 0

    def rig(self) -> Rig:
        """Return a rig that is whole."""
        if self._rig is None or self._used == _SEEDS_A_RIG:
            self.close()
            self._on.wait_ready()
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sb-chaos-"))
            self._rig = self._stack.enter_context(rigged(self._on, Path(folder)))
            self._used = 0
        self._used += 1
        return self._rig

    def show(self) -> None:
        """Print what everybody logged."""
        if self._rig is not None:
            self._rig.show()

    def close(self) -> None:
        """End the rig."""
        self._rig = None
        with suppress(Exception, pytest.fail.Exception):  # what failed is told already
            self._stack.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds; return 1 if a promise was broken."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also in the background: leave nothing behind
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, nargs="*", help="only these")
    asked = parser.parse_args(arguments)
    seeds = asked.seed or range(asked.first, asked.first + asked.seeds)
    figures, failed = Figures(), list[int]()
    try:
        with ground() as on, closing(_Stand(on)) as stand:
            for seed in seeds:
                if not _passes(seed, stand, figures):
                    failed.append(seed)
                    stand.close()
                figures.failed = len(failed)
    finally:
        print(figures)  # noqa: T201 - the result
    if failed:
        print(f"failed: {failed}")  # noqa: T201
    return 1 if failed else 0


def _passes(seed: int, stand: _Stand, figures: Figures) -> bool:
    made, began_s = schedule(seed), time.monotonic()
    try:
        journal, broken = run(stand.rig(), made)
        figures.add(made, journal)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the next seed follows
        broken = ["".join(traceback.format_exception(error, limit=-8))]
    verdict = "FAILED" if broken else "passed"
    print(f"{verdict} in {time.monotonic() - began_s:.1f} s: {made}", flush=True)  # noqa: T201
    if broken:
        stand.show()
        lines = ["", *broken, f"once more: make chaos SEED={seed}", ""]
        print("\n".join(lines), flush=True)  # noqa: T201
    return not broken


if __name__ == "__main__":
    sys.exit(main())
