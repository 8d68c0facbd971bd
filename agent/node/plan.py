"""What to do about the difference between what is wanted and what runs. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streams.control import Assigned


@dataclass(frozen=True, slots=True)
class Running:
    """One instance of an operation on this node; `due`: it has no process, and should have one."""

    place: int
    operation: str
    revision: int
    draining: bool = False
    due: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Make a new instance."""

    assigned: Assigned


@dataclass(frozen=True, slots=True)
class Restart:
    """Give an instance whose process ended another."""

    place: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Let an instance finish what it has, and end; `drain_s` None: as it was assigned."""

    place: int
    drain_s: float | None = None


Act = Start | Restart | Drain


def plan(wanted: Iterable[Assigned], running: Sequence[Running]) -> list[Act]:
    """Return the acts that bring `running` towards `wanted`; none when it is there already.

    An instance of another revision drains first; its successor starts when it has gone, so that
    no message meets two programs.
    """
    by_name = {assigned.operation: assigned for assigned in wanted}
    places = defaultdict[str, list[Running]](list)
    for place in running:
        places[place.operation].append(place)
    unwanted = [p for p in running if p.operation not in by_name and not p.draining]
    acts: list[Act] = [Drain(p.place) for p in unwanted]
    for assigned in by_name.values():
        acts += _of_one(assigned, places[assigned.operation])
    return acts


def _of_one(assigned: Assigned, places: Sequence[Running]) -> list[Act]:
    instances = 0 if assigned.draining else assigned.instances
    current = [p for p in places if p.revision == assigned.revision and not p.draining]
    outdated = [p for p in places if p.revision != assigned.revision and not p.draining]
    # of those too many, the ones without a process go first: they have nothing to finish
    kept = sorted(current, key=lambda p: (p.due, p.place))[:instances]
    drains = [Drain(p.place, assigned.drain_s) for p in (*outdated, *current) if p not in kept]
    restarts = [Restart(p.place) for p in kept if p.due]
    starts = [Start(assigned)] * max(0, instances - len(places))
    return [*drains, *restarts, *starts]
