"""What clouds, and whoever pays for them, still allow, as a plan takes it machine by machine."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from datetime import datetime

from manager.machines import money
from manager.machines.model import CloudRoom, Offer, Phase, Seen, Waiting
from manager.machines.needs import closing_s

#: A machine is launched only if all that run there can be paid for so long, ...
_RESERVE_S = 3600.0
#: ... drained when they can't be paid for so long, and ended when not even for so long.
SOFT_S, HARD_S = 600.0, 180.0
#: A lease is this much longer than what it takes to replace its machine, or it's of no use.
_WORTHWHILE = 2.0
#: So many characters of a console are in a reason.
_LAST_WORDS = 300


class Allowance:
    """Counts machines and money. Belongs to one plan, which ends the machines `failing`."""

    def __init__(self, seen: Seen, failing: Container[str] = ()) -> None:
        self._seen = seen
        self._rooms = {room.cloud: room for room in seen.rooms}
        self._machines = Counter(m.cloud for m in seen.machines)
        self._coming = Counter(
            (m.cloud, m.image)
            for m in seen.machines
            if m.phase in {Phase.LAUNCHING, Phase.BOOTING} and m.node not in failing
        )
        self._burn: dict[str, float] = defaultdict(float)
        self._spent: dict[str, float] = {room.cloud: room.spent for room in seen.rooms}
        for machine in seen.machines:
            self._burn[machine.cloud] += machine.price_per_hour or 0.0
            if machine.cloud in self._spent:
                since = seen.now - money.DAY
                self._spent[machine.cloud] += money.cost(machine, since=since, now=seen.now)

    def take(self, offer: Offer) -> None:
        """Count a machine that is to be launched."""
        self._machines[offer.cloud] += 1
        self._coming[offer.cloud, offer.image] += 1
        self._burn[offer.cloud] += offer.price_per_hour or 0.0

    def objection(self, offer: Offer) -> Waiting | None:
        """Say why nothing can be launched by `offer`, or None."""
        room = self._rooms.get(offer.cloud)
        if room is None:
            return Waiting(f"{offer.cloud}: this cloud is not configured any more", failed=True)
        return (
            self._image_objection(offer)
            or _lease_objection(offer)
            or _pause_objection(room, self._seen.now)
            or self._room_objection(room)
            or self._price_objection(offer, room)
        )

    def is_crowded(self, offer: Offer) -> bool:
        """Say whether the end of another machine there would make a launch possible."""
        room = self._rooms.get(offer.cloud)
        if room is None or self._image_objection(offer) or _lease_objection(offer):
            return False
        if _pause_objection(room, self._seen.now):
            return False
        short = self._price_objection(offer, room)
        return bool(self._room_objection(room) or (short and not short.failed))

    def affordable(self, cloud: str, prices: Iterable[float], horizon_s: float) -> list[bool]:
        """Say of machines with these hourly prices which can be paid for `horizon_s` more.

        What else runs there, on its way out, is paid first.
        """
        priced = list(prices)
        room = self._rooms.get(cloud)
        if room is None or room.price_per_day is None:
            return [True] * len(priced)
        hours = horizon_s / 3600
        left = room.price_per_day - self._spent[cloud]
        left -= (self._burn[cloud] - sum(priced)) * hours
        can = list[bool]()
        for price in priced:
            can.append(price == 0 or price * hours <= left)
            left -= price * hours if can[-1] else 0.0
        return can

    def spending(self, cloud: str) -> str:
        """Return how a cloud's budget stands, in words."""
        limit = self._rooms[cloud].price_per_day
        return (
            f"{cloud}: {self._spent[cloud]:.2f} of {limit:g} are spent within 24 hours"
            " (limits: price_per_day)"
        )

    def _image_objection(self, offer: Offer) -> Waiting | None:
        breaker = self._seen.breakers.get((offer.cloud, offer.image))
        if breaker is None or not breaker.failed_boots:
            return None
        words = f"{offer.cloud}: the image {offer.image} of {offer.application} failed to boot"
        times = "once" if breaker.failed_boots == 1 else f"{breaker.failed_boots} times"
        if breaker.is_open:
            last = breaker.console.strip()[-_LAST_WORDS:]
            said = f"; the last it said: {last}" if last else ""
            return Waiting(
                f"{words} {times}; build it anew, or 'launch' to try again{said}", failed=True
            )
        if self._coming[offer.cloud, offer.image]:
            return Waiting(f"{words} {times}; one machine tries it again")
        return None

    def _room_objection(self, room: CloudRoom) -> Waiting | None:
        there = self._machines[room.cloud] + room.others
        if there < room.machines:
            return None
        return Waiting(
            f"{room.cloud}: {there} machines run there, and {room.machines} may (limits: machines)"
        )

    def _price_objection(self, offer: Offer, room: CloudRoom) -> Waiting | None:
        if room.price_per_day is None:
            return None
        price, cloud = offer.price_per_hour, room.cloud
        if price is None:
            return Waiting(
                f"{cloud}: nobody knows what a machine of size {offer.size} costs, and there is"
                " limits: price_per_day; say it in prices",
                failed=True,
            )
        hours = _RESERVE_S / 3600
        if price * hours > room.price_per_day:
            return Waiting(
                f"{cloud}: an hour of size {offer.size} costs {price:g}, more than"
                f" limits: price_per_day ({room.price_per_day:g})",
                failed=True,
            )
        if self._spent[cloud] + (self._burn[cloud] + price) * hours > room.price_per_day:
            return Waiting(f"{self.spending(cloud)}, and what runs there needs the rest")
        return None


def _lease_objection(offer: Offer) -> Waiting | None:
    lease_s, least_s = offer.hours * 3600, _WORTHWHILE * closing_s(offer)
    if lease_s >= least_s:
        return None
    return Waiting(
        f"{offer.cloud}: a lease of {offer.hours:g} hours ({lease_s:.0f} s) is too short for"
        f" {offer.application}: with its boot of {offer.boot_s:.0f} s it takes {least_s:.0f} s",
        failed=True,
    )


def _pause_objection(room: CloudRoom, now: datetime) -> Waiting | None:
    if room.paused_until is None or room.paused_until <= now:
        return None
    at = room.paused_until.astimezone()
    return Waiting(f"{room.cloud}: {room.pause}; tried again at {at:%H:%M:%S %z}")
