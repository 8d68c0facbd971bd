"""What endangers messages on a broker that works: odd queues, policies that drop, alarms. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from streams import names
from streams.names import QueueRole

#: Roles of queues that are made once, and then have to be there.
OURS = frozenset({QueueRole.OPERATION, QueueRole.DEAD, QueueRole.SUBSCRIPTION, QueueRole.ARCHIVE})
#: What a policy may say that loses messages, or whole queues.
_LOSING = frozenset(
    {
        "message-ttl",
        "expires",
        "max-length",
        "max-length-bytes",
        "delivery-limit",
        "dead-letter-exchange",
    }
)
_OWN_POLICY = "streamboss."
_SHOWN = 3

Item = Mapping[str, Any]


def misfits(queues: Iterable[Item], policies: Mapping[str, Item]) -> list[str]:
    """Return what is wrong with our queues, a line each; `policies` by their names."""
    ours = [queue for queue in queues if names.parse_queue(queue["name"]).role in OURS]
    classic = [queue["name"] for queue in ours if queue.get("type") != "quorum"]
    found = []
    if classic:
        found.append(
            f"{_listed(classic)}: no quorum queue, and lost with its node of the broker:"
            " delete it when it is empty, and it is made anew"
        )
    by_policy = defaultdict[str, list[str]](list)
    for queue in ours:
        for name in {queue.get("policy"), queue.get("operator_policy")} - {None, ""}:
            if not str(name).startswith(_OWN_POLICY):
                by_policy[str(name)].append(queue["name"])
    for name, held in by_policy.items():
        losing = sorted(_LOSING & set(policies.get(name, {})))
        if losing:
            found.append(
                f"policy {name!r} ({', '.join(losing)}) holds for {_listed(held)}, and loses"
                " messages there: give it a narrower pattern"
            )
    return found


def alarms(nodes: Iterable[Item]) -> list[str]:
    """Return what nodes of the broker are short of, a line each."""
    found = []
    for node in nodes:
        short = [
            what
            for what, of in (("memory", "mem"), ("disk", "disk_free"))
            if node.get(f"{of}_alarm")
        ]
        if short:
            found.append(
                f"the broker ({node['name']}) is short of {' and '.join(short)}:"
                " it takes nothing from publishers until it has room; consumers go on"
            )
    return found


def _listed(queues: list[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(queues)[:_SHOWN])
    return f"{shown} and {len(queues) - _SHOWN} more" if len(queues) > _SHOWN else shown
