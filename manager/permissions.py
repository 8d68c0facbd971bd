"""What a node's broker user may do, and an operation's queue policy, in RabbitMQ's terms. Pure."""

import re
from collections.abc import Iterable
from typing import Any

from manager.model import Backlog, Operation
from streams import control, names


def node_user(node: str) -> str:
    """Return the broker user of a node."""
    return f"node-{node}"


def node_rights(node: str, operations: Iterable[Operation]) -> dict[str, str]:
    """Return the regular expressions over names for configure, write and read.

    Binding its own queue takes write on the queue and read on the exchange.
    """
    chosen = sorted(operations, key=lambda o: o.name)
    own = rf"agents\.{re.escape(node)}\..*"
    inputs = sorted({names.operation_queue(o.name) for o in chosen})
    outputs = sorted({names.exchange(o.output_stream) for o in chosen})
    return {
        "configure": _any(own),
        "write": _any(
            own, *map(re.escape, (names.CONTROL_EXCHANGE, names.DEAD_EXCHANGE, *outputs))
        ),
        "read": _any(own, *map(re.escape, (names.CONTROL_EXCHANGE, *inputs))),
    }


def topic_rights(node: str) -> dict[str, str]:
    """Return the routing keys of the control exchange that a node may publish and bind."""
    return {
        "write": rf"^from\.{re.escape(node)}\..*$",
        "read": f"^{re.escape(control.assignment_key(node))}$",
    }


def queue_pattern(operation: str) -> str:
    """Return the pattern that matches an operation's input queue alone."""
    return f"^{re.escape(names.operation_queue(operation))}$"


def backlog_policy(backlog: Backlog) -> dict[str, Any]:
    """Return the policy's definition; empty when nothing is bounded."""
    definition: dict[str, Any] = {}
    if backlog.max_messages is not None:
        definition["max-length"] = backlog.max_messages
    if backlog.max_bytes is not None:
        definition["max-length-bytes"] = backlog.max_bytes
    if definition:
        definition["overflow"] = "drop-head"
    if backlog.max_age_s is not None:
        definition["message-ttl"] = int(backlog.max_age_s * 1000)
    return definition


def _any(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"
