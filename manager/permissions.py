"""What nodes' and people's broker users may do, an operation's queue policy: in RabbitMQ's terms.

Pure.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

from manager.model import Backlog, Operation
from streams import control, names

_PERSON = "user-"


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
    outputs = _exchanges(o.output_stream for o in chosen)
    return {
        "configure": _any(own),
        "write": _any(
            own, *map(re.escape, (names.CONTROL_EXCHANGE, names.DEAD_EXCHANGE)), *outputs
        ),
        "read": _any(own, *map(re.escape, (names.CONTROL_EXCHANGE, *inputs))),
    }


def topic_rights(node: str) -> dict[str, str]:
    """Return the routing keys of the control exchange that a node may publish and bind."""
    return {
        "write": rf"^from\.{re.escape(node)}\..*$",
        "read": f"^{re.escape(control.assignment_key(node))}$",
    }


def person_user(name: str) -> str:
    """Return the broker user of a person."""
    return f"{_PERSON}{name}"


def person_of(user: str) -> str | None:
    """Return whose broker user this is; None: no person's."""
    return user.removeprefix(_PERSON) if user.startswith(_PERSON) else None


def person_rights(name: str, publish: Collection[str], consume: Collection[str]) -> dict[str, str]:
    """Return the regular expressions for somebody who publishes on, and consumes, these streams.

    Their queues are a consumer's own, and one subscription a stream that is called as they are:
    nobody can take messages out of somebody else's.
    """
    streams = sorted({re.escape(stream) for stream in consume})
    either = f"({'|'.join(streams)})"
    own = [rf"consumers\.{either}\.[0-9a-f]+", rf"subscriptions\.{either}\.{re.escape(name)}"]
    own = own if streams else []
    return {
        "configure": _any(*own),
        "write": _any(*own, *_exchanges(publish)),
        "read": _any(*own, *_exchanges(consume)),
    }


def _exchanges(streams: Iterable[str]) -> list[str]:
    return [re.escape(names.exchange(stream)) for stream in sorted(set(streams))]


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
    return f"^({'|'.join(patterns)})$" if patterns else "^$"
