"""What was measured, as JSON in `bench/results/`: a file a scenario, of its latest run."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bench.path import Turn
from bench.scenario import ByContender

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a scenario; `problem` says why there are no turns."""

    at: str
    #: of the machine, before it
    load: float
    took_s: float
    turns: Sequence[Turn] = ()
    problem: str = ""

    def by_contender(self) -> ByContender:
        """Return the turns of each that have a rate, in the order in which they came."""
        by_name = defaultdict[str, list[Turn]](list)
        for one in self.turns:
            if not one.problem:
                by_name[one.contender].append(one)
        return dict(by_name)

    def problems(self) -> Sequence[str]:
        """Say which contender has no rate, and why, each once."""
        told = (f"{one.contender}: {one.problem}" for one in self.turns if one.problem)
        return list(dict.fromkeys(told))

    def keep(self, name: str, folder: Path = RESULTS) -> None:
        """Write it down in place of the one before."""
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what was kept."""
        kept = json.loads(text)
        turns = [Turn(**each) for each in kept.pop("turns")]
        return cls(**kept, turns=turns)


def kept(folder: Path = RESULTS) -> Mapping[str, Result]:
    """Return the latest result of each scenario."""
    return {path.stem: Result.parse(path.read_text()) for path in sorted(folder.glob("*.json"))}
