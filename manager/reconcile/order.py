"""Which operation feeds which: the order in which they are bound and taken down. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from manager.model import Operation


def downstream_first(operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations so that each comes after those it feeds; cycles are cut somewhere."""
    takes = defaultdict[str, list[Operation]](list)
    everything = sorted(operations, key=lambda o: o.name)
    for operation in everything:
        takes[operation.input_stream].append(operation)
    ordered: list[Operation] = []
    seen: set[str] = set()
    for first in everything:
        stack = [(first, iter(takes[first.output_stream]))] if first.name not in seen else []
        seen.add(first.name)
        while stack:
            operation, following = stack[-1]
            nearest = next((o for o in following if o.name not in seen), None)
            if nearest is None:
                ordered.append(operation)
                stack.pop()
            else:
                seen.add(nearest.name)
                stack.append((nearest, iter(takes[nearest.output_stream])))
    return ordered


def held(name: str, upstream: Mapping[str, set[str]]) -> bool:
    """Say whether something above, which isn't below as well (a cycle), still has to end first."""
    above = _above(name, upstream)
    return any(name not in _above(other, upstream) for other in above if other != name)


def _above(name: str, upstream: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in upstream.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found
