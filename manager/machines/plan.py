"""What to do about machines: launch what operations lack, end what nobody needs. Pure.

Up at once, down after a while: what is missing is launched unless it comes already, and a machine
without work ends after its idle time. Work isn't moved to fill machines up; it moves when a lease
nears its end, to machines that last longer.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

from manager.machines.allowance import Allowance
from manager.machines.endings import forced_endings, over_budget
from manager.machines.model import Breaker, Decisions, Ending, Phase, Seen, Waiting
from manager.machines.needs import DRAIN_AHEAD_S, Needs, offered
from manager.machines.standing import Standing, standings
from manager.machines.supply import Supply
from streams.application import appliance_of, is_pinned

#: So many images are named to somebody who asked for another.
_MOST_NAMED = 5


def plan(seen: Seen, needs: Needs) -> Decisions:
    """Decide about machines, after operations were placed on those that are ready."""
    everything = standings(seen, needs)
    ends = forced_endings(everything, seen, needs)
    allowance = Allowance(replace(seen, breakers=_failed(seen, ends)), failing=ends)
    fleet = [m for m in everything if m.record.node not in ends]
    drains, unpaid = over_budget(fleet, allowance)
    ends |= {ending.node: ending for ending in unpaid}
    leaving = {e.node for e in drains} | set(ends)
    staying = [m for m in fleet if m.record.node not in leaving and not m.is_leaving]
    supply = Supply(seen, [m for m in staying if m.is_coming], allowance)
    waiting = _missing(seen, needs, supply)
    drains += _expiring(staying, needs, supply)
    _warm(seen, staying, supply)
    idle = _without_work(staying, needs, supply.unused())
    ends |= _unneeded(seen, staying, _not_awaited(idle, staying, drains), supply)
    return Decisions(
        launches=supply.launches(),
        ready=tuple(
            m.record.node
            for m in staying
            if m.at_work and m.record.phase in {Phase.LAUNCHING, Phase.BOOTING}
        ),
        idle=_idle_changes(staying, idle, seen.now) if needs.demand_known else {},
        drains=tuple(drains),
        ends=tuple(ends.values()),
        waiting=waiting,
    )


def _failed(seen: Seen, ends: Mapping[str, Ending]) -> dict[tuple[str, str], Breaker]:
    """The breakers with the boots that fail now: what failed isn't launched again unseen."""
    breakers = dict(seen.breakers)
    for machine in seen.machines:
        if machine.node in ends and ends[machine.node].boot_failed:
            key = (machine.cloud, machine.image)
            before = breakers.get(key, Breaker(machine.image, 0))
            breakers[key] = replace(before, failed_boots=before.failed_boots + 1)
    return breakers


def _missing(seen: Seen, needs: Needs, supply: Supply) -> dict[str, Waiting]:
    """Find machines for the instances that have none; say what each such operation waits for."""
    nodes = {node.name: node for node in needs.nodes}
    waiting = dict[str, Waiting]()
    for operation, count in needs.wanted:
        application = operation.definition.application
        placed = needs.placement.nodes.get(operation.name, {})
        if application not in needs.imaged:
            if not placed and (reason := _no_image(operation.name, application, seen, needs)):
                waiting[operation.name] = reason
            continue
        named = sum(n for name, n in placed.items() if nodes[name].names(application))
        if named < count and (reason := supply.need(operation.name, application, count - named)):
            waiting[operation.name] = reason
    return waiting


def _no_image(operation: str, application: str, seen: Seen, needs: Needs) -> Waiting | None:
    """Why no machine can be launched for an operation, if that is what it lacks."""
    if operation not in needs.placement.failed and needs.nodes:
        return None
    silent = [
        f"{r.cloud}: nobody knows yet what it offers: {r.silence}" for r in seen.rooms if r.silence
    ]
    if silent:
        return Waiting("; ".join(silent))
    if not seen.rooms:
        if not needs.nodes:
            return None
        lacks = "; ".join(f"{cloud}: {text}" for cloud, text in seen.unusable.items())
        why = f"and no cloud can be used: {lacks}" if lacks else "and no cloud is configured"
    else:
        why = f"and no cloud has {_lacking(application, seen)}"
    return Waiting(f"no node offers the application {application!r}, {why}", failed=True)


def _lacking(application: str, seen: Seen) -> str:
    name = appliance_of(application)
    if not is_pinned(application):
        return f"an image of it: 'fab build_appliance --name {name}' makes one"
    there = [offered(o.application, o.content) for o in seen.offers if o.application == name]
    named = ", ".join(dict.fromkeys(there[:_MOST_NAMED])) or "none"
    return f"that image; of {name} there is: {named}"


def _expiring(staying: Sequence[Standing], needs: Needs, supply: Supply) -> list[Ending]:
    """Drain the machines whose lease nears its end, when what they do has a place elsewhere.

    Whoever lacks one gets it launched, a boot ahead.
    """
    wanted = {operation.name for operation, _ in needs.wanted}
    work: dict[str, int] = defaultdict(int)
    for name, counts in needs.placement.nodes.items():
        for node, count in counts.items():
            work[node] += count if name in wanted else 0
    free = Counter[str]()
    for machine in staying:
        free[machine.record.application] += machine.free
    drains = list[Ending]()
    for machine in staying:
        record, has = machine.record, work[machine.record.node]
        if not (machine.at_work and machine.is_closing and machine.assigned):
            continue
        lacks = max(0, has - free[record.application])
        free[record.application] -= has - lacks
        supply.need(f"what runs on {record.node}", record.application, lacks)
        if not lacks or machine.left_s <= DRAIN_AHEAD_S:
            drains.append(Ending(record.node, f"its lease ends at {_clock(record.ends_at)}"))
    return drains


def _warm(seen: Seen, staying: Sequence[Standing], supply: Supply) -> None:
    lasting = Counter(m.record.application for m in staying if m.at_work and not m.is_closing)
    for application, count in _warm_counts(seen).items():
        supply.warm(application, count, lasting[application])


def _warm_counts(seen: Seen) -> dict[str, int]:
    return {offer.application: offer.warm for offer in seen.offers if offer.warm}


def _without_work(
    staying: Sequence[Standing],
    needs: Needs,
    unused: AbstractSet[str],
) -> list[Standing]:
    """The machines on which nothing runs, and for which nothing waits."""
    if not needs.demand_known:
        return []
    return [
        machine
        for machine in staying
        if (machine.record.node in unused if machine.is_coming else not machine.assigned)
        and machine.record.node not in needs.finishing
    ]


def _not_awaited(
    idle: Sequence[Standing], staying: Sequence[Standing], drains: Sequence[Ending]
) -> list[Standing]:
    """Leave out the machines to which goes, with the next plan, what is drained by this one."""
    drained = {ending.node for ending in drains}
    moving = Counter[str]()
    for machine in staying:
        if machine.record.node in drained:
            moving[machine.record.application] += machine.assigned
    kept = list[Standing]()
    for machine in reversed(idle):  # the longest leases are taken first
        if moving[machine.record.application] > 0:
            moving[machine.record.application] -= machine.slots
        else:
            kept.append(machine)
    return kept[::-1]


def _unneeded(
    seen: Seen, staying: Sequence[Standing], idle: Sequence[Standing], supply: Supply
) -> dict[str, Ending]:
    """End machines without work whose time is up, those whose lease ends first in front."""
    warm = Counter(_warm_counts(seen))
    there = Counter(m.record.application for m in staying if not m.is_closing)
    ends = dict[str, Ending]()
    for machine in idle:
        record = machine.record
        is_spare = machine.is_closing or there[record.application] > warm[record.application]
        if is_spare and (why := _why_end(machine, seen, supply.refused)):
            ends[record.node] = Ending(record.node, why)
            there[record.application] -= not machine.is_closing
    return ends


def _why_end(machine: Standing, seen: Seen, refused: dict[str, int]) -> str:
    """Return why a machine without work ends now; empty if it needn't yet."""
    record = machine.record
    since = record.idle_since or seen.now
    if machine.is_coming and record.term < seen.term:
        return f"launched by a former leader (term {record.term}), and not needed"
    if seen.now - since >= timedelta(seconds=machine.idle_s):
        return f"without work since {_clock(since)}"
    if refused[record.cloud] > 0:
        refused[record.cloud] -= 1
        return "without work, and others need the room"
    return ""


def _idle_changes(
    staying: Sequence[Standing], idle: Sequence[Standing], now: datetime
) -> Mapping[str, datetime | None]:
    without = {machine.record.node for machine in idle}
    begun = {m.record.node: now for m in idle if m.record.idle_since is None}
    over: dict[str, datetime | None] = {
        m.record.node: None
        for m in staying
        if m.record.idle_since is not None and m.record.node not in without
    }
    return {**over, **begun}


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S %z}"
