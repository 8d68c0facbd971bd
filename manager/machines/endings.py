"""Which machines are drained or ended whatever operations need, and why. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from manager.dispatcher import NodeView
from manager.machines.allowance import HARD_S, SOFT_S, Allowance
from manager.machines.model import Ending, Phase, Seen
from manager.machines.needs import Needs
from manager.machines.standing import Standing
from manager.model import NodeState
from streams.control import LOST_S, OperatorState

#: A machine that isn't heard for so long is given up; its operations went elsewhere long before.
GIVE_UP_S = 60.0
#: A machine to be drained gets this much longer than its operations.
_DRAIN_GRACE_S = 30.0
_DRAIN_S = 30.0
_BOOT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the rules below look at, besides the machine."""

    seen: Seen
    needs: Needs
    boot_timeouts_s: dict[str, float]


def forced_endings(fleet: Iterable[Standing], seen: Seen, needs: Needs) -> dict[str, Ending]:
    """Return the machines that end at once, by node."""
    rules = _Rules(seen, needs, {room.cloud: room.boot_timeout_s for room in seen.rooms})
    return {
        machine.record.node: ending
        for machine in fleet
        if machine.record.phase is not Phase.ENDING and (ending := _forced(machine, rules))
    }


def over_budget(
    fleet: Sequence[Standing], allowance: Allowance
) -> tuple[list[Ending], list[Ending]]:
    """Return the machines to drain, and those to end, because nobody may pay for them longer.

    Those without work go first, then those whose lease ends first.
    """
    by_cloud: dict[str, list[Standing]] = defaultdict(list)
    for machine in fleet:
        if machine.record.phase is not Phase.ENDING:
            by_cloud[machine.record.cloud].append(machine)
    drains, ends = list[Ending](), list[Ending]()
    for cloud, there in by_cloud.items():
        # the most worth keeping first
        there.sort(key=lambda m: (not m.is_leaving, m.assigned > 0, m.record.ends_at), reverse=True)
        ends += _unpaid(allowance, cloud, there, HARD_S)
        staying = [m for m in there if not m.is_leaving]
        drains += _unpaid(allowance, cloud, staying, SOFT_S)
    gone = {ending.node for ending in ends}
    return [drain for drain in drains if drain.node not in gone], ends


def _unpaid(
    allowance: Allowance, cloud: str, machines: Sequence[Standing], horizon_s: float
) -> list[Ending]:
    prices = [m.record.price_per_hour or 0.0 for m in machines]
    paid = allowance.affordable(cloud, prices, horizon_s)
    return [
        Ending(machine.record.node, allowance.spending(cloud))
        for machine, is_paid in zip(machines, paid, strict=True)
        if not is_paid
    ]


def _forced(machine: Standing, rules: _Rules) -> Ending | None:
    if machine.left_s <= 0:
        return Ending(machine.record.node, "its lease is over")
    return _failed_boot(machine, rules) if machine.is_coming else _useless(machine, rules)


def _useless(machine: Standing, rules: _Rules) -> Ending | None:
    record = machine.record
    if record.broken:
        return Ending(record.node, record.broken)
    if record.phase is Phase.DRAINING and record.ready_at is None:
        return Ending(record.node, record.why)
    if machine.silent_s >= GIVE_UP_S:
        return Ending(record.node, f"lost: not heard for {machine.silent_s:.0f} s")
    if machine.node is not None and machine.node.state is NodeState.OUTDATED:
        return Ending(record.node, "its agent speaks another version")
    if record.phase is Phase.DRAINING and _has_drained(machine, machine.node, rules):
        return Ending(record.node, record.why)
    return None


def _failed_boot(machine: Standing, rules: _Rules) -> Ending | None:
    record = machine.record
    if record.broken:
        return Ending(record.node, f"failed to boot: {record.broken}", boot_failed=True)
    if machine.node is not None and machine.node.state is NodeState.OUTDATED:
        return Ending(
            record.node,
            "its agent speaks another version: build the image anew",
            boot_failed=True,
        )
    since_s = (rules.seen.now - record.launched_at).total_seconds()
    timeout_s = rules.boot_timeouts_s.get(record.cloud, _BOOT_TIMEOUT_S)
    if since_s < timeout_s or rules.seen.listening_s < LOST_S:
        return None
    if record.phase is Phase.LAUNCHING:
        return Ending(record.node, f"the cloud launched nothing within {timeout_s:.0f} s")
    return Ending(
        record.node, f"failed to boot: not heard within {timeout_s:.0f} s", boot_failed=True
    )


def _has_drained(machine: Standing, node: NodeView | None, rules: _Rules) -> bool:
    record = machine.record
    busy = node is not None and any(r.state is not OperatorState.STOPPED for r in node.reports)
    if not busy and record.node not in rules.needs.finishing and node is not None:
        return True
    longest_s = rules.needs.finishing.get(record.node, _DRAIN_S) + _DRAIN_GRACE_S
    return (rules.seen.now - record.phase_at).total_seconds() >= longest_s
