"""Which streams and operations hang together. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

#: A stream or an operation: its kind and its name.
Thing = tuple[str, str]
Neighbours = Mapping[Thing, Sequence[Thing]]


class Ends(NamedTuple):
    """An operation with the streams on both of its sides."""

    operation: str
    input_stream: str
    output_stream: str


@dataclass(frozen=True, slots=True)
class Group:
    """Streams and operations that hang together; `around` is where they begin."""

    around: str
    streams: int
    operations: Sequence[str]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Who is beside whom, and what that makes; `lone` counts the streams of no operation."""

    beside: Neighbours
    groups: Sequence[Group]
    lone: int

    def near(self, around: str, most: int) -> dict[Thing, None]:
        """Return at most so many things, in the order of their distance from those meant.

        Meant is what has that name, else all that have it in their name.
        """
        meant = [
            each for kind in ("stream", "operation") if (each := (kind, around)) in self.beside
        ]
        text = around.casefold()
        like = (thing for thing in self.beside if text in thing[1].casefold())
        return _reached(self.beside, meant or sorted(like), most)


# whoever looks comes back each second, and what hangs together seldom changes
@lru_cache(maxsize=1)
def wiring_of(streams: tuple[str, ...], operations: tuple[Ends, ...]) -> Wiring:
    """Return how these hang together."""
    beside = _neighbours(streams, operations)
    ends = {each.operation: each for each in operations}
    seen, groups, lone = set[Thing](), list[Group](), 0
    for thing in beside:
        if thing in seen:
            continue
        together = _reached(beside, [thing], len(beside))
        seen.update(together)
        if len(together) == 1:
            lone += 1
        else:
            groups.append(_group(together, ends))
    return Wiring(beside, groups, lone)


def along(operations: Sequence[Ends]) -> list[str]:
    """Return operations as things flow: each after those that feed it, pipeline after pipeline.

    In a circle it begins with the one that is met first.
    """
    makers, takers = defaultdict[str, list[Ends]](list), defaultdict[str, list[Ends]](list)
    for each in reversed(operations):
        makers[each.output_stream].append(each)
        takers[each.input_stream].append(each)
    placed, met = dict[str, None](), set[Ends]()

    def place(one: Ends) -> None:
        """Place one, after those that feed it; what is met again on the way there is a circle."""
        if one not in met:
            met.add(one)
            for feeder in reversed(makers[one.input_stream]):
                place(feeder)
            placed[one.operation] = None

    # the last is looked at first: what takes an output before what else hangs on the same streams
    waiting, followed = list(reversed(operations)), set[Ends]()
    while waiting:
        one = waiting.pop()
        if one not in followed:
            followed.add(one)
            place(one)
            waiting += makers[one.output_stream] + makers[one.input_stream]
            waiting += takers[one.input_stream] + takers[one.output_stream]
    return list(placed)


def _neighbours(streams: Iterable[str], operations: Iterable[Ends]) -> Neighbours:
    beside: dict[Thing, list[Thing]] = {("stream", name): [] for name in streams}
    for each in operations:
        here = ("operation", each.operation)
        ends = (("stream", each.input_stream), ("stream", each.output_stream))
        beside[here] = [end for end in ends if end in beside]
        for end in beside[here]:
            beside[end].append(here)
    return beside


def _reached(beside: Neighbours, start: Iterable[Thing], most: int) -> dict[Thing, None]:
    waiting, found = deque(start), dict[Thing, None]()
    while waiting and len(found) < most:
        thing = waiting.popleft()
        if thing not in found:
            found[thing] = None
            waiting.extend(beside[thing])
    return found


def _group(together: Iterable[Thing], ends: Mapping[str, Ends]) -> Group:
    operations = [name for kind, name in together if kind == "operation"]
    fed = {ends[name].output_stream for name in operations}
    streams = sorted(name for kind, name in together if kind == "stream")
    begins = [name for name in streams if name not in fed]
    return Group((begins or streams or operations)[0], len(streams), operations)
