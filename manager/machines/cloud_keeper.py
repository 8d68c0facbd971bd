"""Keeps one cloud's machines as the records say. Gives work to hands, and never waits for it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from manager.errors import ConflictError
from manager.machines import offers
from manager.machines.hands import Hands
from manager.machines.model import CloudRoom, MachineRecord, Offer, Phase
from manager.machines.offers import Shelf
from manager.machines.sightings import Findings
from manager.machines.sights import CloudSight, Failure
from manager.machines.work import Work
from provision import prices
from provision.entries import CloudEntry
from provision.errors import Kind, ProvisionError
from provision.inventory import Inventory
from provision.machine import OWNER, Image
from streams.backoff import backoff_s
from streams.errors import StreamsError

log = structlog.get_logger()
#: How often machines are looked at while nothing moves; while one comes or goes, so many times as
#: rarely as where somebody waits for it, but not more often than this.
_STEADY_S = 30.0
_MOVING, _LEAST_S = 2.0, 1.0
#: How often images are: while an operation waits for a machine, else (an image that was made
#: should be known before somebody wants its application), and while nobody uses clouds at all.
_WAITING_S, _KNOWN_S, _UNUSED_S = 10.0, 30.0, 300.0
#: What was seen so lately is what there is.
_FRESH_S = 2.0
#: For how long nothing is launched where a cloud said no; of those that come in a row, longer.
_PAUSE_S = {Kind.RETRY: 30.0, Kind.GONE: 15.0, Kind.AUTH: 300.0}
_REFUSED_S, _LONGEST_S = 60.0, 900.0
#: What failed is shown until it is done, or so long after it should have been tried again.
_SHOWN = timedelta(minutes=3)
#: How long a person waits for a lease to be renewed.
_RENEW_S = 30.0
_LOOK, _SHELVES = "look", "see what it offers"


@dataclass(frozen=True, slots=True)
class Interest:
    """What makes a cloud worth asking: operations are known; one waits for a machine."""

    known: bool = False
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class _Pause:
    until: datetime
    words: str
    refusals: int


class CloudKeeper:
    """One cloud. Called by the leading manager's loop; what it finds out, its hands tell."""

    def __init__(self, work: Work, inventory: Inventory, poke: Callable[[], object]) -> None:
        self.name = work.ground.name
        self._work, self._inventory = work, inventory
        self._entry: CloudEntry = inventory.clouds[self.name]
        self._moving_s = max(_LEAST_S, _MOVING * self._entry.interval_s)
        self._hands = Hands(self.name, poke)
        self._lock = threading.Lock()
        self._looked = threading.Condition(self._lock)
        self._seen_s = float("-inf")
        self._shelf: Shelf | None = None
        self._silence = "it is being asked"
        self._findings = Findings()
        self._pause: _Pause | None = None
        self._given_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._failing: dict[str, Failure] = {}
        self._seen_at: datetime | None = None
        self._unlaunched_s: dict[str, float] = {}

    def room(self, spent: float) -> CloudRoom:
        """Return what may still be launched there."""
        with self._lock:
            pause, limits = self._pause, self._entry.limits
            return CloudRoom(
                cloud=self.name,
                machines=limits.machines,
                others=self._findings.others,
                spent=spent,
                price_per_day=limits.price_per_day,
                paused_until=pause.until if pause else None,
                pause=pause.words if pause else "",
                boot_timeout_s=self._entry.ssh.timeout_s,
                silence="" if self._shelf else self._silence,
            )

    def offers(self, records: Sequence[MachineRecord]) -> tuple[Offer, ...]:
        """Return what may be launched there, as last seen; nothing before it has answered once."""
        with self._lock:
            shelf = self._shelf
        if shelf is None:
            return ()
        boot_s = offers.boot_s(self._entry, [r for r in records if r.cloud == self.name])
        return offers.offers_of(self.name, self._inventory, shelf, boot_s)

    def sight(self) -> CloudSight:
        """Return what is known of the cloud, for people."""
        known, now = self.offers(()), self._work.store.now()
        with self._lock:
            shelf, pause = self._shelf or Shelf(), self._pause
            owner = self._inventory.owner
            own = [image for image in shelf.images if image.tags.get(OWNER) == owner]
            pinned = {image.id: image for image in shelf.pinned.values()}
            return CloudSight(
                others=self._findings.others,
                seen_at=self._seen_at,
                offers=known,
                images=tuple({**{image.id: image for image in own}, **pinned}.values()),
                failures=tuple(
                    self._failing_lately(datetime.now(UTC), pause.words if pause else "")
                ),
                paused_until=pause.until if pause and pause.until > now else None,
                pause=pause.words if pause else "",
            )

    def browse(self, interest: Interest) -> None:
        """Have a look at what the cloud offers, when it is time."""
        used = _KNOWN_S if interest.known else _UNUSED_S
        waiting = self._shelf is None or interest.waiting
        self._give(_SHELVES, self._see_shelf, again_s=_WAITING_S if waiting else used)

    def browse_now(self) -> float | None:
        """Have a look at what the cloud offers unless that was just done; return when it is due.

        None: there is nothing to wait for, or the cloud didn't answer the last time.
        """
        begun_s = time.monotonic()
        with self._lock:
            if begun_s - self._seen_s < _FRESH_S or _SHELVES in self._failures:
                return None
        self._give(_SHELVES, self._see_shelf)
        return begun_s

    def browsed(self, since_s: float, until_s: float) -> bool:
        """Wait until `until_s` for a look that ended after `since_s`; say whether there was one."""
        with self._looked:
            left_s = max(0.0, until_s - time.monotonic())
            return self._looked.wait_for(lambda: self._seen_s >= since_s, left_s)

    def tend(self, records: Sequence[MachineRecord]) -> None:
        """Have everything done that is due, by the records of this cloud that haven't ended."""
        for record in records:
            if record.phase is Phase.ENDING:
                self._give(record.node, partial(self._work.end, record))
        moving = any(record.phase is not Phase.READY for record in records)
        if records or _LOOK not in self._given_s:
            self._give(_LOOK, self._look, again_s=self._moving_s if moving else _STEADY_S)
        self._work.ground.refresh(lambda: not self._hands.busy())

    def launch(self, record: MachineRecord, offer: Offer) -> None:
        """Have a machine launched that was recorded just now."""
        self._give(record.node, partial(self._launch, record, offer))

    def renew(self, record: MachineRecord, hours: float) -> str:
        """Let a machine's lease end `hours` from now; return what could not be told to it.

        Raises:
            ConflictError: the cloud refuses, or doesn't answer in time.
        """
        answer: Future[str] = Future()

        def job() -> None:
            try:
                answer.set_result(self._work.renew(record, hours))
            except (ProvisionError, StreamsError) as error:
                answer.set_exception(ConflictError(str(error)))

        if not self._hands.give(f"renew {record.node}", job):
            raise ConflictError(f"node {record.node!r} is being renewed: try again")
        with suppress(NotYetError):
            return answer.result(_RENEW_S)
        raise ConflictError(f"{self.name}: no answer within {_RENEW_S:g} s: try again")

    def stop(self, within_s: float) -> None:
        """Let what is under way come to its end, for so long."""
        self._hands.stop(within_s)
        self._work.ground.close()

    def _give(self, name: str, job: Callable[[], object], again_s: float = 0.0) -> None:
        """Have a job done unless it was less than `again_s` ago, or failed lately."""
        now_s = time.monotonic()
        with self._lock:
            due_s = self._given_s.get(name, float("-inf")) + again_s
            if now_s < max(due_s, self._not_before_s.get(name, 0.0)):
                return
        if self._hands.give(name, partial(self._counted, name, job)) and again_s:
            self._given_s[name] = now_s

    def _failing_lately(self, now: datetime, but: str = "") -> Iterator[Failure]:
        """Give what failed the last time, and isn't done with; without what `but` says already."""
        for failure in self._failing.values():
            if failure.until > now - _SHOWN and failure.words != but:
                yield failure

    def _counted(self, name: str, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception as error:
            with self._lock:
                failures = self._failures[name] = self._failures.get(name, 0) + 1
                wait_s = backoff_s(failures, first_s=2.0, longest_s=120.0)
                self._not_before_s[name] = time.monotonic() + wait_s
                until = datetime.now(UTC) + timedelta(seconds=wait_s)
                self._failing[name] = Failure(name, _words(error), until)
                self._failing = {f.job: f for f in self._failing_lately(datetime.now(UTC))}
            raise
        with self._lock:
            self._failures.pop(name, None)
            self._failing.pop(name, None)
            self._not_before_s.pop(name, None)

    def _launch(self, record: MachineRecord, offer: Offer) -> None:
        try:
            self._work.launch(record, offer)
        except ProvisionError as error:
            self._say_no(error)
            raise
        with self._lock:
            self._pause = None

    def _say_no(self, error: ProvisionError) -> None:
        now = self._work.store.now()
        with self._lock:
            refusals = self._pause.refusals + 1 if self._pause else 1
            longer_s = min(_LONGEST_S, _REFUSED_S * 2.0 ** (refusals - 1))
            pause = timedelta(seconds=_PAUSE_S.get(error.kind, longer_s))
            self._pause = _Pause(now + pause, str(error), refusals)

    def _look(self) -> None:
        before = self._findings
        seen = self._work.look(before)
        with self._lock:
            self._findings = seen
        for machine in seen.strays:
            self._give(machine.id, partial(self._work.terminate, machine))
        self._close_unlaunched(seen)

    def _close_unlaunched(self, seen: Findings) -> None:
        """Close records whose launch was begun by somebody who is gone, and came to nothing."""
        busy, now_s = self._hands.busy(), time.monotonic()
        grace_s = self._entry.grace_s + self._moving_s
        waiting = {
            r.node: r
            for r in self._work.store.machines()
            if r.cloud == self.name and r.phase is Phase.LAUNCHING and r.node not in busy
        }
        since = {node: self._unlaunched_s.get(node, now_s) for node in waiting}
        self._unlaunched_s = {n: at_s for n, at_s in since.items() if n not in seen.adopted}
        for node, at_s in self._unlaunched_s.items():
            if now_s - at_s > grace_s:
                self._give(node, partial(self._work.close_unlaunched, waiting[node]))

    def _see_shelf(self) -> None:
        try:
            self._ask_for_shelf()
        except ProvisionError as error:
            with self._lock:
                self._silence = str(error)
            raise

    def _ask_for_shelf(self) -> None:
        cloud = self._work.ground.site().cloud
        shelf = Shelf(tuple(cloud.account.images()), self._pinned())
        known = self._shelf.prices if self._shelf else {}
        sizes = offers.sizes_of(shelf, self._inventory)
        priced = {s: known[s] if s in known else prices.hourly(cloud, s) for s in sizes}
        with self._looked:
            self._shelf, self._seen_s = replace(shelf, prices=priced), time.monotonic()
            self._seen_at = datetime.now(UTC)
            self._looked.notify_all()

    def _pinned(self) -> dict[str, Image]:
        """Return the images that the inventory names, as far as they are there."""
        account, found = self._work.ground.site().cloud.account, dict[str, Image]()
        for name, appliance in self._inventory.appliances.items():
            if self.name in appliance.images:
                try:
                    found[name] = account.find_image(name)
                except ProvisionError as error:
                    if error.kind is not Kind.GONE:
                        raise
                    log.warning("an image of the inventory isn't there", error=str(error))
        return found


def _words(error: Exception) -> str:
    """Return what a person is told of a failure."""
    expected = isinstance(error, ProvisionError | StreamsError)
    return str(error) if expected else f"a bug ({type(error).__name__}): the manager's log has more"
