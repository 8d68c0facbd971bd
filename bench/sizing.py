"""What is needed for X messages a second of Y bytes through Z programs, from what was measured."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Self

from bench import cluster, operations, single, sizes
from bench.path import Turn
from bench.report import number
from bench.results import Result
from bench.scenario import median, median_cpu

#: messages a second, bytes of each, programs in a row
_EXAMPLES = ((1_000, 100, 1), (5_000, 1_024, 3), (20_000, 100, 2), (200, 65_536, 2))
_FORMULAS = """\
For X messages a second of Y KiB through Z services in a row:

* **operators** take X x Z x (c + Y x d) cores, beside what the programs take. One operator is one
  process with one loop: beyond 1 / (c + Y x d) messages a second it needs another instance.
* **the broker** takes X x (Z + 1) x (b + Y x e) cores: each operation takes a message out of one
  queue and puts one into the next; publishing the first and consuming the last count as one more.
  A cluster of three takes k times that, all nodes together.
* **an agent's machine** needs m MiB for each operation, and i % of a core for it at rest, beside
  what the programs need.
* **single** starts a program for each message: s more of a core for `tr`; 10 ms and more for
  Python.
"""
_NEEDED = ("sizes", "operations", "cluster", "single")


@dataclass(frozen=True, slots=True)
class Constants:
    """What one message, one byte, one operation costs; CPU in microseconds of a core."""

    operator_us: float
    operator_us_a_kib: float
    broker_us: float
    broker_us_a_kib: float
    #: what three nodes take together, set against one
    cluster_factor: float
    operation_mib: float
    operation_percent: float
    start_us: float

    @classmethod
    def of(cls, results: Mapping[str, Result]) -> Self:
        """Take the constants from the latest results. Raises KeyError: one wasn't measured."""
        of = {name: results[name].by_contender() for name in _NEEDED}
        small, large = (sizes.named("ours", size) for size in (sizes.SMALL, sizes.LARGE))
        kib = (sizes.LARGE - sizes.SMALL) / 1024
        one, three = (cluster.named(cluster.OURS, where) for where in (cluster.ONE, cluster.THREE))
        operator, broker = of["sizes"], _broker_us
        return cls(
            operator_us=_cpu(operator[small]),
            operator_us_a_kib=max(0.0, _cpu(operator[large]) - _cpu(operator[small])) / kib,
            broker_us=broker(operator[small]),
            broker_us_a_kib=max(0.0, broker(operator[large]) - broker(operator[small])) / kib,
            cluster_factor=broker(of["cluster"][three]) / broker(of["cluster"][one]),
            operation_mib=operations.memory_of_each(of["operations"]),
            operation_percent=operations.rest_of_each(of["operations"]),
            start_us=1e6 * (os.cpu_count() or 1) / median(of["single"][single.LIMIT]),
        )


@dataclass(frozen=True, slots=True)
class Need:
    """Cores, and processes."""

    operator_cores: float
    broker_cores: float
    instances: int


def need(constants: Constants, rate: float, size: int, programs: int) -> Need:
    """Return what so many messages a second through so many programs in a row take. Pure."""
    kib = size / 1024
    operator = (constants.operator_us + constants.operator_us_a_kib * kib) / 1e6
    broker = (constants.broker_us + constants.broker_us_a_kib * kib) / 1e6
    return Need(
        operator_cores=rate * programs * operator,
        broker_cores=rate * (programs + 1) * broker,
        instances=math.ceil(rate * operator),
    )


def sizing(results: Mapping[str, Result]) -> str:
    """Return the page's part: formulas, the constants, examples. Pure."""
    try:
        constants = Constants.of(results)
    except KeyError:
        return f"Not all of it is measured yet: it needs {', '.join(_NEEDED)}."
    return "\n".join([_FORMULAS, *_table(constants), "", *_examples(constants)])


def _table(its: Constants) -> list[str]:
    rows = (
        ("c", its.operator_us, "us a message", "sizes"),
        ("d", its.operator_us_a_kib, "us a KiB", "sizes"),
        ("b", its.broker_us, "us a message", "sizes"),
        ("e", its.broker_us_a_kib, "us a KiB", "sizes"),
        ("k", its.cluster_factor, "", "cluster"),
        ("m", its.operation_mib, "MiB", "operations"),
        ("i", its.operation_percent, "% of a core", "operations"),
        ("s", its.start_us, "us a message", "single, its limit"),
    )
    return [
        "| constant | measured | by |",
        "| --- | --- | --- |",
        *(f"| {name} | {number(value)} {unit} | {by} |" for name, value, unit, by in rows),
    ]


def _examples(constants: Constants) -> list[str]:
    def row(rate: int, size: int, programs: int) -> str:
        its = need(constants, rate, size, programs)
        cells = (
            f"{rate:,} msg/s of {size:,} bytes",
            str(programs),
            f"{its.operator_cores:.2f}",
            str(its.instances),
            f"{its.broker_cores:.2f}",
            f"{its.broker_cores * constants.cluster_factor:.2f}",
        )
        return f"| {' | '.join(cells)} |"

    return [
        "| cores of | services in a row | operators | instances of each | broker | cluster |",
        f"|{' --- |' * 6}",
        *starmap(row, _EXAMPLES),
    ]


def _cpu(turns: Sequence[Turn]) -> float:
    return median_cpu(turns) or 0.0


def _broker_us(turns: Sequence[Turn]) -> float:
    return statistics.median(each.broker_us or 0.0 for each in turns)
