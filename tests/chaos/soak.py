"""Hours at half load, in minutes: what grows with time? `python -m tests.chaos.soak --minutes 30`.

A service and a `single` program after it, an archive, two agents; nothing goes wrong. After a while
everything is sampled, and the slope of each line through the samples has to be below its bound.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import psycopg

from streams.names import subscription_queue
from tests.chaos.rig import Rig, ground, rigged
from tests.chaos.run import Chain, create
from tests.chaos.schedule import Schedule, Stage
from tests.eventually import eventually
from tests.processes import descendants, is_operator
from tests.traffic import Collector, Publisher

#: The most that each may grow by in an hour: MiB, or a number.
BOUNDS = {
    "MiB of the manager": 30.0,
    "MiB of the archiver": 30.0,
    "MiB of agents": 20.0,
    "MiB of operators": 30.0,
    "MiB of the database": 30.0,
    "open files": 20.0,
    "processes": 5.0,
    "queues": 2.0,
    "messages that wait": 600.0,
}
_EVERY_S, _WARM_UP = 5.0, 1 / 3
_MEASURED, _WITHIN_S = 600, 120.0
_TICK_S = 0.05
_MIB = 2**20
_CHAIN = Schedule(0, (Stage("one", 1), Stage("single", 1)), 0, ())

Sample = dict[str, float]


@dataclass
class Samples:
    """What was seen, and when, in seconds."""

    at_s: list[float] = field(default_factory=list)
    seen: list[Sample] = field(default_factory=list)

    def add(self, at_s: float, sample: Sample) -> None:
        """Keep a sample."""
        self.at_s.append(at_s)
        self.seen.append(sample)

    def slopes(self) -> Sample:
        """Return how much each grew by in an hour, the first third left out."""
        first = int(len(self.at_s) * _WARM_UP)
        hours = [at_s / 3600 for at_s in self.at_s[first:]]
        rows = self.seen[first:]
        return {name: slope(hours, [row[name] for row in rows]) for name in BOUNDS}


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line that fits best (least squares); 0 of a single point."""
    mean_x, mean_y = fmean(xs), fmean(ys)
    square = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / (square or 1.0)


def too_steep(slopes: Sample) -> list[str]:
    """Return what grows faster than its bound."""
    return [name for name, bound in BOUNDS.items() if slopes[name] > bound]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 1 if anything grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args(arguments).minutes
    with ground() as on, tempfile.TemporaryDirectory() as folder, rigged(on, Path(folder)) as rig:
        samples = _soak(rig, minutes * 60)
    slopes = samples.slopes()
    for name, bound in BOUNDS.items():
        last = samples.seen[-1][name]
        print(f"{name}: {last:.1f}, {slopes[name]:+.2f} an hour (bound {bound:g})")  # noqa: T201
    grows = too_steep(slopes)
    print(f"too steep: {', '.join(grows)}" if grows else "nothing grows")  # noqa: T201
    return 1 if grows else 0


def _soak(rig: Rig, for_s: float) -> Samples:
    chain, samples = Chain(_CHAIN), Samples()
    create(rig, chain)
    queue = subscription_queue(chain.streams[-1], "everything")
    with (
        Collector([rig.url("consumer")], chain.streams[-1], queue) as collector,
        Publisher([rig.url("publisher")], chain.streams[0], chain.prefix) as publisher,
    ):
        rig.deployment.until("running", *chain.operations, within_s=_WITHIN_S)
        rate = _most(publisher, collector) / 2
        print(f"{rate:.0f} messages a second for {for_s / 60:g} minutes", flush=True)  # noqa: T201
        began_s, base, due_s = time.monotonic(), publisher.allowed, 0.0
        while (now_s := time.monotonic() - began_s) < for_s:
            publisher.allowed = base + int(rate * now_s)
            if now_s >= due_s:
                due_s = now_s + _EVERY_S
                samples.add(now_s, _sample(rig))
            time.sleep(_TICK_S)
        eventually(lambda: collector.different == publisher.allowed, within_s=_WITHIN_S)
        assert collector.repeats == 0
        print(f"{publisher.allowed} messages, all came, once and in order")  # noqa: T201
        assert [c.body for c in collector.came] == sorted(
            (c.body for c in collector.came), key=lambda came: int(came.rpartition(b"N")[2])
        )
    return samples


def _most(publisher: Publisher, collector: Collector) -> float:
    """Return how many messages a second pass at most."""
    began_s = time.monotonic()
    publisher.allowed += _MEASURED
    eventually(lambda: collector.different == publisher.allowed, within_s=_WITHIN_S)
    return _MEASURED / (time.monotonic() - began_s)


def _sample(rig: Rig) -> Sample:
    manager = rig.deployment.manager.pid
    archivers = {pid for pid, _ in descendants(manager)}
    agents = {agent.pid for agent in rig.deployment.agents.values()}
    below = {pid for agent in agents for pid, _ in descendants(agent)}
    operators = {pid for pid in below if is_operator(pid)}
    everybody = {manager, *archivers, *agents, *operators}
    queues = rig.queues()
    return {
        "MiB of the manager": _resident(manager),
        "MiB of the archiver": _resident(*archivers),
        "MiB of agents": _resident(*agents),
        "MiB of operators": _resident(*operators),
        "MiB of the database": _database(rig),
        "open files": sum(map(_files, everybody)),
        "processes": len(everybody),
        "queues": len(queues),
        "messages that wait": sum(n for name, n in queues.items() if "archives" not in name),
    }


def _resident(*pids: int) -> float:
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / _MIB


def _files(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _database(rig: Rig) -> float:
    """Return the size of all databases of the server; the manager's is the one that changes."""
    address = f"user=streamboss dbname=postgres {rig.database.address.replace('&', ' ')}"
    with psycopg.connect(address) as connection:
        row = connection.execute("SELECT sum(pg_database_size(oid)) FROM pg_database").fetchone()
    assert row is not None
    return float(row[0]) / _MIB


if __name__ == "__main__":
    sys.exit(main())
