"""What to call each operation's state, and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manager.dispatcher import Placement
from manager.model import DemandMode, Operation, OperationState
from manager.reconcile.memory import Memory, must_wait
from streams.control import OperatorReport, OperatorState

#: What an operation is when one of its operators says so; the first that is said counts.
_MEANS = (
    (OperatorState.RUNNING, OperationState.RUNNING),
    (OperatorState.FAILED, OperationState.FAILED),
    (OperatorState.STARTING, OperationState.STARTING),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An operation's state, with its reason in a sentence, and the nodes that have it."""

    state: OperationState
    reason: str = ""
    nodes: tuple[str, ...] = ()


def verdict(
    operation: Operation,
    memory: Memory,
    said: Mapping[str, Sequence[OperatorReport]],
    placement: Placement,
    *,
    is_wanted: bool,
) -> Verdict:
    """Judge an operation by its demand, where it was placed, and what its operators say."""
    where = tuple(sorted({*memory.nodes, *memory.draining}))
    if operation.demand is DemandMode.PAUSED:
        drains = "; finishes what it has taken" if memory.draining else ""
        return Verdict(OperationState.PAUSED, f"stopped by a person{drains}", where)
    if is_wanted:
        return _wanted(operation, memory, said, placement, where)
    if memory.nodes:
        return Verdict(OperationState.LINGERING, "nobody consumes its output any more", where)
    if memory.draining:
        return Verdict(OperationState.DRAINING, "finishes what it has taken", where)
    return Verdict(OperationState.IDLE, "nobody consumes its output", where)


def _wanted(
    operation: Operation,
    memory: Memory,
    said: Mapping[str, Sequence[OperatorReport]],
    placement: Placement,
    where: tuple[str, ...],
) -> Verdict:
    name = operation.name
    if name in placement.unplaced:
        failed = name in placement.failed
        state = OperationState.FAILED if failed else OperationState.STARTING
        return Verdict(state, placement.unplaced[name], where)
    runs = [r for node in memory.nodes for r in said.get(node, ())]
    here = [r for r in runs if r.revision == operation.revision]
    for said_state, state in _MEANS:
        found = [r for r in here if r.state is said_state]
        if found:
            return Verdict(state, found[0].reason, where)
    reason = "starts on " + ", ".join(sorted(memory.nodes))
    if len(here) < len(runs):  # what runs is of another revision
        reason = f"definition {operation.process_definition_id} changed: {reason}"
    if any(must_wait(operation, memory, node, said) for node in memory.nodes):
        reason += ", when what was taken is finished on " + ", ".join(sorted(memory.draining))
    return Verdict(OperationState.STARTING, reason, where)
