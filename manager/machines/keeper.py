"""Keeps machines on all clouds as decided: what is decided is in the records before it is done."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from manager.errors import ConflictError
from manager.machines.cloud_keeper import CloudKeeper, Interest
from manager.machines.ground import Desk, Ground
from manager.machines.model import Decisions, Launch, MachineRecord, Phase, Seen
from manager.machines.money import DAY, spent
from manager.machines.sights import CloudSight, CloudView, cloud_view
from manager.machines.work import Logins, MachineStore, Work

#: For how long machines that have ended are remembered, and how often older ones are forgotten.
_KEPT, _PRUNE = timedelta(days=7), timedelta(hours=1)
_NAME_LENGTH = 80
_STOP_S = 5.0


class KeeperStore(MachineStore, Protocol):
    """What the keeper needs of the store."""

    def manager_id(self) -> str:
        """Return what stands for this database on the clouds."""

    def decide_machines(
        self, made: Decisions, launches: Iterable[MachineRecord], *, term: int, now: datetime
    ) -> bool:
        """Keep what was decided; False if somebody else leads by now."""

    def get_machine(self, node: str) -> MachineRecord:
        """Return a machine that hasn't ended."""

    def prune_machines(self, before: datetime) -> None:
        """Forget machines that ended before."""


class Keeper:
    """The clouds that machines may be launched on; without any it knows only what was.

    `poke` is called when something has changed, `forget` with each node that is gone.
    """

    def __init__(
        self,
        desk: Desk | None,
        store: KeeperStore,
        logins: Logins,
        *,
        poke: Callable[[], object],
        forget: Callable[[str], object],
    ) -> None:
        self._desk, self._store, self._logins = desk, store, logins
        self._poke, self._forget = poke, forget
        self._clouds: dict[str, CloudKeeper] | None = None
        self._unusable = desk.unusable() if desk else {}
        self._pruned_at: datetime | None = None

    def see(self, *, listening_s: float) -> Seen:
        """Return all about machines, as a plan needs it, but for the leader's term."""
        now = self._store.now()
        known = self._store.machines(ended_since=now - DAY)
        ended = [record for record in known if record.ended_at and record.handle]
        clouds = self._keepers().values()
        return Seen(
            now=now,
            date=datetime.now(UTC),
            listening_s=listening_s,
            machines=[record for record in known if record.phase is not Phase.ENDED],
            offers=[offer for cloud in clouds for offer in cloud.offers(known)],
            rooms=[cloud.room(spent(ended, cloud.name, now)) for cloud in clouds],
            breakers=self._store.breakers() if known else {},
            unusable=self._unusable,
        )

    def clouds(self) -> list[CloudView]:
        """Return all clouds of the inventory as they are known here, the lowest rank first.

        Raises:
            StoreUnavailableError: nobody knows what runs there.
        """
        if self._desk is None:
            return []
        now = self._store.now()
        known, breakers = self._store.machines(ended_since=now - DAY), self._store.breakers()
        entries = sorted(self._desk.inventory.clouds.items(), key=lambda e: (e[1].rank, e[0]))
        return [
            cloud_view(name, entry, self._sight(name), known=known, breakers=breakers, now=now)
            for name, entry in entries
        ]

    def _sight(self, name: str) -> CloudSight | None:
        """Return what is known of a cloud; None where nobody here can ask it."""
        if self._clouds is None:
            return CloudSight()
        return self._clouds[name].sight() if name in self._clouds else None

    def decide(self, made: Decisions, seen: Seen, term: int) -> None:
        """Keep what was decided, and begin with it; nothing if somebody else leads by now."""
        launches = [(_record(launch, term, seen), launch.offer) for launch in made.launches]
        if not any((launches, made.ready, made.idle, made.drains, made.ends)):
            return
        records = [record for record, _ in launches]
        if self._store.decide_machines(made, records, term=term, now=seen.now):
            for record, offer in launches:
                self._keepers()[record.cloud].launch(record, offer)
            self._poke()

    def tend(self, seen: Seen, term: int | None, interest: Interest) -> None:
        """Have everything done that is due; without a `term`, only look at what clouds offer."""
        for name, cloud in self._keepers().items():
            cloud.browse(interest)
            if term is not None:
                cloud.tend([record for record in seen.machines if record.cloud == name])
        self._pruned_at = self._pruned_at or seen.now
        if term is not None and seen.now - self._pruned_at > _PRUNE:
            self._pruned_at = seen.now
            self._store.prune_machines(seen.now - _KEPT)

    def browse(self, within_s: float) -> bool:
        """See what clouds offer now, waiting no longer than that; say whether there is news."""
        until_s = time.monotonic() + within_s
        begun = [(cloud, cloud.browse_now()) for cloud in self._keepers().values()]
        waited = [cloud.browsed(at_s, until_s) for cloud, at_s in begun if at_s is not None]
        return any(waited)

    def renew(self, node: str, hours: float) -> str:
        """Let the lease of a launched machine end `hours` from now; return what went wrong beside.

        Raises:
            NotFoundError: there is no such machine.
            ConflictError: its cloud refuses.
        """
        record = self._store.get_machine(node)
        cloud = self._keepers().get(record.cloud)
        if cloud is None:
            raise ConflictError(f"cloud {record.cloud!r} isn't in the inventory any more")
        return cloud.renew(record, hours)

    def stop(self) -> None:
        """Let what is under way come to its end, for a moment."""
        for cloud in (self._clouds or {}).values():
            cloud.stop(_STOP_S)

    def _keepers(self) -> Mapping[str, CloudKeeper]:
        """Return each cloud's; made when the store first answers, which knows who we are."""
        if self._clouds is None:
            launcher = self._store.manager_id()
            self._clouds = self._made(self._desk, launcher) if self._desk else {}
        return self._clouds

    def _made(self, desk: Desk, launcher: str) -> dict[str, CloudKeeper]:
        return {
            name: CloudKeeper(
                Work(Ground(desk, name), self._store, self._logins, launcher, self._forget),
                desk.inventory,
                self._poke,
            )
            for name in desk.clouds()
        }


def _record(launch: Launch, term: int, seen: Seen) -> MachineRecord:
    offer = launch.offer
    stem = offer.application.replace(".", "-").partition("@")[0][:_NAME_LENGTH]
    return MachineRecord(
        node=f"{stem}-{secrets.token_hex(3)}",
        cloud=offer.cloud,
        application=offer.application,
        image=offer.image,
        size=offer.size,
        phase=Phase.LAUNCHING,
        why=launch.why,
        term=term,
        launched_at=seen.now,
        phase_at=seen.now,
        ends_at=seen.date + timedelta(hours=offer.hours),
        price_per_hour=offer.price_per_hour,
    )
