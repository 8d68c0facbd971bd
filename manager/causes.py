"""Why an operation begins to work: who wants what it makes. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from manager.demand import BrokerView, wanting_queues
from manager.events import Event
from manager.model import DemandMode, Operation, OperationState

_BEGUN = frozenset({OperationState.STARTING, OperationState.RUNNING})
#: So many are named.
_NAMED = 5


def with_causes(
    happened: Sequence[Event], operations: Sequence[Operation], view: BrokerView
) -> list[Event]:
    """Return the events; those of operations that begin to work say who wants it, `wanted_by`."""
    begun = {event.name for event in happened if _begins(event)}
    wanted_by = _wanted_by([o for o in operations if o.name in begun], operations, view)
    return [
        replace(event, fields={**event.fields, "wanted_by": wanted_by[event.name]})
        if _begins(event) and event.name in wanted_by
        else event
        for event in happened
    ]


def _wanted_by(
    begun: Sequence[Operation], operations: Sequence[Operation], view: BrokerView
) -> dict[str, list[str]]:
    """Return for each operation the queues outside and the operations that take what it makes."""
    if not begun:
        return {}
    takers = defaultdict[str, list[str]](list)
    for other in operations:
        if view.is_bound(other.name, other.input_stream):
            takers[other.input_stream].append(f"operation {other.name}")
    outside = wanting_queues({operation.output_stream for operation in begun}, view)
    return {
        operation.name: ["demand: always"]
        if operation.demand is DemandMode.ALWAYS
        else _few([*outside[operation.output_stream], *takers[operation.output_stream]])
        for operation in begun
    }


def _few(found: Sequence[str]) -> list[str]:
    more = [f"{len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return [*found[:_NAMED], *more]


def _begins(event: Event) -> bool:
    states = event.fields.get("from"), event.fields.get("to")
    return event.event == "operation.state" and states[1] in _BEGUN and states[0] not in _BEGUN
