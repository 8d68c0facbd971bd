"""What a cloud's list of machines says of our records. Pure.

The records are read after the list was made: a machine with our mark whose record isn't there, or
has ended, is one that nobody wants. A list may leave something out, or show what is going just
now: what is gone, or nobody's, is so in two lists in a row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from manager.machines.model import MachineRecord, Phase
from provision.machine import LAUNCHER, NODE, PROTECT, Machine, State

_DOWN = frozenset({State.FAILED, State.STOPPED, State.STOPPING, State.TERMINATED})
_GONE = "its cloud shows it no more"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is to be noted or done after a look.

    Args:
        adopted: machines by node, whose records have no handle yet.
        broken: what is wrong with nodes' machines; empty: nothing any more.
        leases: ends of leases by node, where they aren't as recorded.
        missing: nodes whose machine wasn't listed.
        unwanted: ids of machines that nobody wants.
        strays: those of them that a look before this one showed, too: to be terminated.
        others: how many machines of ours aren't in the records.
    """

    adopted: Mapping[str, Machine] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    leases: Mapping[str, datetime] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()
    strays: tuple[Machine, ...] = ()
    others: int = 0


def found(
    listed: Sequence[Machine],
    records: Iterable[MachineRecord],
    *,
    launcher: str,
    before: Findings,
    now: datetime,
    grace_s: float,
) -> Findings:
    """Compare a cloud's machines of ours with the records of its machines that haven't ended.

    `grace_s`: for how long the cloud may not list what it has just launched.
    """
    by_node = _by_node(listed, launcher)
    mine = {record.node: _own(record, by_node.get(record.node, ())) for record in records}
    living = [r for r in records if r.phase is not Phase.ENDING and r.handle]
    wanted = {machine.id for machine in mine.values() if machine}
    unwanted = [m for ms in by_node.values() for m in ms if m.id not in wanted]
    missing = frozenset(r.node for r in living if mine[r.node] is None)
    sure = {
        r.node
        for r in living
        if r.node in missing & before.missing and now - r.phase_at > timedelta(seconds=grace_s)
    }
    words = {r.node: _GONE if r.node in sure else _trouble(mine[r.node]) for r in living}
    return Findings(
        adopted={r.node: m for r in records if not r.handle and (m := mine[r.node])},
        broken={r.node: words[r.node] for r in living if words[r.node] != r.broken},
        leases={
            r.node: m.lease.ends_at
            for r in living
            if (m := mine[r.node]) and m.lease and m.lease.ends_at != r.ends_at
        },
        missing=missing,
        unwanted=frozenset(m.id for m in unwanted),
        strays=tuple(m for m in unwanted if m.id in before.unwanted and not m.tags.get(PROTECT)),
        others=len(listed) - len(wanted),
    )


def machines_of(record: MachineRecord, listed: Sequence[Machine], launcher: str) -> list[Machine]:
    """Return all machines that were launched for a record, doubles included."""
    own = _by_node(listed, launcher).get(record.node, ())
    return [*own, *(m for m in listed if m.id == record.handle and m not in own)]


def _by_node(listed: Iterable[Machine], launcher: str) -> dict[str, list[Machine]]:
    by_node = defaultdict[str, list[Machine]](list)
    for machine in listed:
        if machine.tags.get(LAUNCHER) == launcher:
            by_node[machine.tags.get(NODE, "")].append(machine)
    return by_node


def _own(record: MachineRecord, machines: Sequence[Machine]) -> Machine | None:
    """Return a record's machine; of doubles the same one to whoever looks."""
    if record.handle:
        return next((m for m in machines if m.id == record.handle), None)
    return min(machines, key=lambda m: m.id, default=None)


def _trouble(machine: Machine | None) -> str:
    if machine is None or machine.state not in _DOWN:
        return ""
    return f"its cloud shows it as {machine.state}"
