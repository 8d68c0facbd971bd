"""Who wants what: the least fixed point from outside demand. Pure.

A stream is wanted while somebody outside collects it, directly or through other exchanges, or a
wanted operation takes it as input. "Least" means that two operations that feed one another don't
keep themselves alive. Routing keys aren't evaluated: a path is a path.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from manager.model import DemandMode, Operation
from streams import names
from streams.names import QueueRole


@dataclass(frozen=True, slots=True)
class Binding:
    """An exchange that hands what it gets to a queue or to another exchange."""

    source: str
    destination: str
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class BrokerView:
    """The broker's bindings, and the queues that have a consumer."""

    bindings: frozenset[Binding] = frozenset()
    consumed: Mapping[str, int] = field(default_factory=dict)
    #: archives' queues that only take what is made anyway
    passive: frozenset[str] = frozenset()

    def is_bound(self, operation: str, stream: str) -> bool:
        """Say whether the operation's queue collects the stream."""
        queue, exchange = names.operation_queue(operation), names.exchange(stream)
        return Binding(exchange, queue) in self.bindings


def wanted_operations(operations: Iterable[Operation], view: BrokerView) -> frozenset[str]:
    """Return the names of the operations whose output somebody wants."""
    everything = list(operations)
    start, up = _sources(view)
    fed_by = defaultdict[str, list[Operation]](list)
    for operation in everything:
        fed_by[names.exchange(operation.output_stream)].append(operation)
    always = [o for o in everything if o.demand is DemandMode.ALWAYS]
    wanted = {o.name for o in always}
    waiting = sorted(start | {names.exchange(o.input_stream) for o in always})
    seen = set[str]()
    while waiting:
        exchange = waiting.pop()
        for upstream in _closure(exchange, up):
            if upstream in seen:
                continue
            seen.add(upstream)
            for operation in fed_by[upstream]:
                wanted.add(operation.name)
                waiting.append(names.exchange(operation.input_stream))
    return frozenset(wanted)


def stream_consumers(streams: Iterable[str], view: BrokerView) -> dict[str, int]:
    """Return for each stream how many queues outside collect it now."""
    reached = _Reach(view.bindings)
    counts = dict.fromkeys(streams, 0)
    # of many streams few are bound, and only those need thought
    for exchange in {binding.source for binding in view.bindings}:
        if (stream := names.stream_of(exchange)) in counts:
            counts[stream] = sum(_is_demand(q, view) for q in reached.queues(exchange))
    return counts


def wanting_queues(streams: Iterable[str], view: BrokerView) -> dict[str, list[str]]:
    """Return for each stream the queues outside that collect it now."""
    reached = _Reach(view.bindings)
    return {
        stream: sorted(q for q in reached.queues(names.exchange(stream)) if _is_demand(q, view))
        for stream in streams
    }


def _sources(view: BrokerView) -> tuple[set[str], Mapping[str, AbstractSet[str]]]:
    """Return the exchanges that somebody collects, and from which exchanges each one gets more."""
    collected, up = set[str](), defaultdict[str, set[str]](set)
    for binding in view.bindings:
        if binding.to_exchange:
            up[binding.destination].add(binding.source)
        elif binding.source not in collected and _is_demand(binding.destination, view):
            collected.add(binding.source)
    return collected, up


class _Reach:
    """Paths down through exchanges to queues."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._queues = defaultdict[str, set[str]](set)
        self._down = defaultdict[str, set[str]](set)
        for binding in bindings:
            if binding.to_exchange:
                self._down[binding.source].add(binding.destination)
            else:
                self._queues[binding.source].add(binding.destination)

    def queues(self, exchange: str) -> set[str]:
        """The queues that what is published on `exchange` comes to."""
        return {q for name in _closure(exchange, self._down) for q in self._queues.get(name, ())}


def _closure(start: str, edges: Mapping[str, AbstractSet[str]]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found


def _is_demand(queue: str, view: BrokerView) -> bool:
    role = _role(queue)
    if role is QueueRole.FOREIGN or role is QueueRole.CONSUMER:
        return view.consumed.get(queue, 0) > 0
    return role is QueueRole.SUBSCRIPTION or (
        role is QueueRole.ARCHIVE and queue not in view.passive
    )


@lru_cache(maxsize=100_000)
def _role(queue: str) -> QueueRole:
    return names.parse_queue(queue).role
