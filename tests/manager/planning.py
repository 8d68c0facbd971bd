"""What the tests of the manager's pure decisions share."""

from collections.abc import Iterable, Mapping
from typing import Any

from manager.demand import Binding, BrokerView
from manager.dispatcher import NodeView
from manager.model import NodeState, Operation
from streams.control import OperatorReport, OperatorState
from streams.definition import ProcessDefinition


def operation(
    name: str, source: str, target: str, *, application: str = "test", **fields: Any
) -> Operation:
    definition = ProcessDefinition(name="cat", application=application, exec="cat")
    return Operation(name, "admin", 1, definition, source, target, **fields)


def broker_view(bindings: Iterable[str], consumed: Mapping[str, int]) -> BrokerView:
    return BrokerView(frozenset(map(_binding, bindings)), consumed)


def node(name: str, *running: str, **fields: Any) -> NodeView:
    """A node that says it runs these operations."""
    reports = tuple(
        OperatorReport(operation=o, revision=1, state=OperatorState.RUNNING) for o in running
    )
    given: dict[str, Any] = {
        "state": NodeState.READY,
        "slots": 10,
        "incarnation": "1",
        "reports": reports,
    }
    return NodeView(name, **{**given, **fields})


def _binding(text: str) -> Binding:
    source, arrow, target = text.split()
    return Binding(source, target, to_exchange=arrow == ">>")
