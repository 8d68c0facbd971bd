"""A question about speed, how it is answered, and what was aimed at."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.path import Turn
from tests.rabbit import BrokerNode

ByContender = Mapping[str, Sequence[Turn]]
Measure = Callable[[ByContender], float]


def median(turns: Sequence[Turn]) -> float:
    """Return the middle of what was measured."""
    return statistics.median(each.rate for each in turns)


def median_cpu(turns: Sequence[Turn]) -> float | None:
    """Return the middle of the CPU for a message or MiB, where it was measured."""
    measured = [each.cpu_us for each in turns if each.cpu_us is not None]
    return statistics.median(measured) if measured else None


class LeftOutError(Exception):
    """A scenario can't be measured here; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A target: what `measure` makes of the turns is at least, or at most, so much."""

    text: str
    measure: Measure
    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Say whether this is enough."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)


def ratio(contender: str, yardstick: str) -> Measure:
    """Measure a median as a share of another's."""
    return lambda turns: median(turns[contender]) / median(turns[yardstick])


def cpu_ratio(contender: str, yardstick: str) -> Measure:
    """Measure the CPU of a message as a share of another's."""
    return lambda turns: (median_cpu(turns[contender]) or 0) / (median_cpu(turns[yardstick]) or 1)


def value(contender: str) -> Measure:
    """Measure a median as it is."""
    return lambda turns: median(turns[contender])


def share_of_either(rate: float, share: float, contender: str, yardstick: str) -> Measure:
    """Measure how far it is towards a rate, or towards a share of another's: the nearer counts."""
    of_another = ratio(contender, yardstick)
    return lambda turns: max(median(turns[contender]) / rate, of_another(turns) / share)


def memory_mib(contender: str) -> Measure:
    """Measure the most memory that it took, in MiB."""
    return lambda turns: max((each.memory_bytes or 0) / 2**20 for each in turns[contender])


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question, and how to answer it once, all contenders in turns."""

    name: str
    question: str
    #: the contender to which the others are set in relation: a peer, or a limit
    yardstick: str
    round: Callable[[BrokerNode], Iterator[Turn]]
    goals: tuple[Goal, ...] = ()
    rounds: int = 3
    #: what takes longer is given up
    longest_s: int = 300
