"""Act on a plan. One operation's failure doesn't stop the others."""

import time
from collections.abc import Callable, Mapping

import structlog

from manager.broker import ManagerBroker
from manager.demand import Binding
from manager.dispatcher import NodeView
from manager.model import Operation
from manager.reconcile.plan import Plan
from manager.watch import BrokerWatch
from streams import names
from streams.control import Assigned, Assignment
from streams.errors import BrokerError

log = structlog.get_logger()
#: A node whose operators don't match what it was told is told again after this time.
_REPEAT_S = 3.0


class Applier:
    """Remembers what was said to each node, so that only what changed is said again."""

    def __init__(self, broker: ManagerBroker, watch: BrokerWatch) -> None:
        self._broker = broker
        self._watch = watch
        self._said: dict[str, tuple[Assignment, float]] = {}

    def apply(
        self,
        plan: Plan,
        nodes: list[NodeView],
        operations: Mapping[str, Operation],
        term: int,
        leads: Callable[[], bool],
    ) -> list[str]:
        """Do what the plan says; return what failed, a line each.

        An agent refuses a leader of an older `term`, a binding can't: so it's asked once more
        whether we still lead before one is taken away.
        """
        problems = [p for o in plan.bind if (p := self._bind(o, bound=True))]
        for node in nodes:
            if node.name in plan.assignments:
                wanted = plan.assignments[node.name]
                problems += self._assign(node, wanted, operations, term)
        for operation in plan.unbind:
            if leads() and (problem := self._bind(operation, bound=False)):
                problems.append(problem)
        return problems

    def forget(self, node: str) -> None:
        """Forget what was said to a node that was removed."""
        self._said.pop(node, None)

    def _bind(self, operation: Operation, *, bound: bool) -> str | None:
        try:
            (self._broker.bind if bound else self._broker.unbind)(operation)
        except BrokerError as error:
            return f"operation {operation.name!r}: {error}"
        exchange = names.exchange(operation.input_stream)
        queue = names.operation_queue(operation.name)
        self._watch.learn(Binding(exchange, queue), holds=bound)
        return None

    def _assign(
        self,
        node: NodeView,
        wanted: tuple[Assigned, ...],
        operations: Mapping[str, Operation],
        term: int,
    ) -> list[str]:
        assignment = Assignment(
            term=term, node=node.name, incarnation=node.incarnation, operations=wanted
        )
        if not self._is_news(node, assignment):
            return []
        said = self._said.get(node.name)
        if said is None or said[0].incarnation != node.incarnation:
            self._broker.forget_rights(node.name)
        try:
            # rights grow before an assignment, and shrink with a later one
            self._broker.grant(node.name, [operations[a.operation] for a in wanted])
            self._broker.assign(assignment)
        except BrokerError as error:
            return [f"node {node.name!r}: {error}"]
        self._said[node.name] = (assignment, time.monotonic())
        return []

    def _is_news(self, node: NodeView, assignment: Assignment) -> bool:
        said, at_s = self._said.get(node.name, (None, 0.0))
        if said != assignment:
            return True
        return not _matches(node, assignment) and time.monotonic() - at_s >= _REPEAT_S


def _matches(node: NodeView, assignment: Assignment) -> bool:
    """Whether the node's heartbeats show what it was told."""
    told = {(a.operation, a.revision) for a in assignment.operations if not a.draining}
    draining = {a.operation for a in assignment.operations if a.draining}
    shown = {(r.operation, r.revision) for r in node.reports if r.operation not in draining}
    return node.term == assignment.term and told == shown
