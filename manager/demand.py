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
    reached = _Reach(view.bindings)
    fed_by = defaultdict[str, list[Operation]](list)
    for operation in everything:
        fed_by[names.exchange(operation.output_stream)].append(operation)
    start = {
        b.source for b in view.bindings if not b.to_exchange and _is_demand(b.destination, view)
    }
    always = [o for o in everything if o.demand is DemandMode.ALWAYS]
    wanted = {o.name for o in always}
    waiting = sorted(start | {names.exchange(o.input_stream) for o in always})
    seen = set[str]()
    while waiting:
        exchange = waiting.pop()
        for upstream in reached.leading_to(exchange):
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
    return {
        stream: sum(_is_demand(q, view) for q in reached.queues(names.exchange(stream)))
        for stream in streams
    }


def wanting_queues(streams: Iterable[str], view: BrokerView) -> dict[str, list[str]]:
    """Return for each stream the queues outside that collect it now."""
    reached = _Reach(view.bindings)
    return {
        stream: sorted(q for q in reached.queues(names.exchange(stream)) if _is_demand(q, view))
        for stream in streams
    }


class _Reach:
    """Paths through exchanges, both ways."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._queues = defaultdict[str, set[str]](set)
        self._down = defaultdict[str, set[str]](set)
        self._up = defaultdict[str, set[str]](set)
        for binding in bindings:
            if binding.to_exchange:
                self._down[binding.source].add(binding.destination)
                self._up[binding.destination].add(binding.source)
            else:
                self._queues[binding.source].add(binding.destination)

    def queues(self, exchange: str) -> set[str]:
        """The queues that what is published on `exchange` comes to."""
        return {q for name in _closure(exchange, self._down) for q in self._queues.get(name, ())}

    def leading_to(self, exchange: str) -> set[str]:
        """The exchanges from which something published comes to `exchange`, itself included."""
        return _closure(exchange, self._up)


def _closure(start: str, edges: Mapping[str, AbstractSet[str]]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found


def _is_demand(queue: str, view: BrokerView) -> bool:
    match _role(queue):
        case QueueRole.SUBSCRIPTION:
            return True
        case QueueRole.ARCHIVE:
            return queue not in view.passive
        case QueueRole.CONSUMER | QueueRole.FOREIGN:
            return view.consumed.get(queue, 0) > 0
        case _:
            return False


@lru_cache(maxsize=100_000)
def _role(queue: str) -> QueueRole:
    return names.parse_queue(queue).role
