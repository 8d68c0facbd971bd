"""Machines for what operations lack: those that come already, then those to be launched."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from manager.machines.allowance import Allowance
from manager.machines.model import Launch, Offer, Phase, Seen, Waiting
from manager.machines.needs import serves
from manager.machines.standing import Standing

_MOST_NAMED = 3


@dataclass(slots=True)
class _Source:
    """A machine that comes, and how much of it is still to be had."""

    left: int
    reason: str
    machine: Standing | None = None
    offer: Offer | None = None
    users: list[str] = field(default_factory=list)

    def serves(self, application: str) -> bool:
        if self.machine is not None:
            return self.machine.serves(application)
        return self.offer is not None and serves(self.offer, application)


class Supply:
    """Hands out what comes, and launches what more is needed. Belongs to one plan."""

    def __init__(self, seen: Seen, coming: Iterable[Standing], allowance: Allowance) -> None:
        self._allowance = allowance
        self._offers: dict[str, list[Offer]] = defaultdict(list)
        for offer in sorted(seen.offers, key=lambda o: (o.rank, o.cloud)):
            self._offers[offer.application].append(offer)
        self._sources: dict[str, list[_Source]] = defaultdict(list)
        #: those of our own term first: what another leader launched is left over
        for machine in sorted(coming, key=lambda m: (-m.record.term, m.record.launched_at)):
            source = _Source(machine.slots, _reason(machine, seen.now), machine)
            self._sources[machine.record.application].append(source)
        #: how many machines less would have to run in a cloud for what was refused
        self.refused: dict[str, int] = defaultdict(int)

    def need(self, user: str, application: str, slots: int) -> Waiting | None:
        """Find `slots` for `user`, an operation or a machine that ends; say what they wait for.

        None where nobody offers the application.
        """
        reason: Waiting | None = None
        while slots > 0:
            source = self._open(application)
            if source is None:
                source, refusal = self._launch(application)
                if source is None:
                    return refusal
            taken = min(slots, source.left)
            source.left -= taken
            slots -= taken
            source.users.append(user)
            reason = Waiting(source.reason)
        return reason

    def warm(self, application: str, count: int, there: int) -> None:
        """Have `count` machines of an appliance, of which `there` are at work."""
        there += len(self._sources[application])
        while there < count:
            source, _ = self._launch(application)
            if source is None:
                return
            source.users.append("")
            there += 1

    def unused(self) -> set[str]:
        """Return the nodes of the machines that come and that nobody waits for."""
        return {
            source.machine.record.node
            for sources in self._sources.values()
            for source in sources
            if source.machine is not None and not source.users
        }

    def launches(self) -> tuple[Launch, ...]:
        """Return what is to be launched, each with its reason."""
        return tuple(
            Launch(source.offer, _why(source.users))
            for sources in self._sources.values()
            for source in sources
            if source.offer is not None
        )

    def _open(self, application: str) -> _Source | None:
        there = self._sources.get(application.partition("@")[0], ())
        return next((s for s in there if s.left > 0 and s.serves(application)), None)

    def _launch(self, application: str) -> tuple[_Source | None, Waiting | None]:
        """Decide on a launch in the first cloud that allows it; else say why none does."""
        appliance = application.partition("@")[0]
        refusals = list[Waiting]()
        for offer in self._of_each_cloud(application):
            refusal = self._allowance.objection(offer)
            if refusal is None:
                self._allowance.take(offer)
                reason = f"a machine for {appliance} is being launched ({offer.cloud})"
                source = _Source(max(1, offer.slots), reason, offer=offer)
                self._sources[appliance].append(source)
                return source, None
            refusals.append(refusal)
            if self._allowance.is_crowded(offer):
                self.refused[offer.cloud] += 1
        return None, _together(refusals)

    def _of_each_cloud(self, application: str) -> list[Offer]:
        """The first offer of each cloud, which is that of its newest image."""
        first: dict[str, Offer] = {}
        for offer in self._offers.get(application.partition("@")[0], ()):
            if serves(offer, application):
                first.setdefault(offer.cloud, offer)
        return list(first.values())


def _reason(machine: Standing, now: datetime) -> str:
    record = machine.record
    if record.phase is Phase.LAUNCHING:
        return f"a machine for {record.application} is being launched ({record.cloud})"
    since_s = (now - record.launched_at).total_seconds()
    return f"a machine for {record.application} boots since {since_s:.0f} s ({record.cloud})"


def _why(users: Sequence[str]) -> str:
    named = sorted({user for user in users if user})
    if not named:
        return "kept warm"
    more = len(named) - _MOST_NAMED
    return "for " + ", ".join(named[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _together(refusals: Sequence[Waiting]) -> Waiting | None:
    """What waiting can help comes before what it can't."""
    passing = [refusal for refusal in refusals if not refusal.failed]
    if not refusals:
        return None
    return Waiting("; ".join(r.reason for r in passing or refusals), failed=not passing)
