"""A day of demand on two clouds: consumers come and go, machines die, managers take over."""

import random
from collections import Counter
from dataclasses import dataclass, field

from manager.demand import Binding
from manager.machines.model import CloudRoom, Launch, MachineRecord, Offer, Phase
from manager.model import Instances, Operation, OperationState
from manager.reconcile.plan import Plan
from tests.manager.machines.world import World, offer
from tests.manager.planning import operation

HOUR_S = 3600.0
#: Reasons for which demand may wait longer than a boot takes.
_SPARED = ("may (limits: machines)", "(limits: price_per_day)", "one machine tries it again")
_IDLE_S = 600.0
_LINGER_S = 30.0
_BOOT_S, _BOOT_TIMEOUT_S = 60.0, 120.0
#: A death is noticed, a boot fails, another one doesn't.
_BOUND_S = 15.0 + _BOOT_TIMEOUT_S + _BOOT_S


@dataclass(frozen=True)
class Size:
    """How large the world is. `step_s`: between two looks."""

    operations: int = 60
    applications: int = 6
    streams: int = 200
    near: int = 40  # machines that the first cloud allows
    far: int = 100
    price_per_day: float = 120.0  # on the second cloud
    hours: float = 3.0
    step_s: float = 20.0


@dataclass
class Day:
    """The world and what must hold in it."""

    size: Size
    seed: int
    world: World = field(init=False)
    wanted_since: dict[str, float] = field(default_factory=dict)
    #: how often a machine was asked for: demand that came, deaths, leases that ended
    causes: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a game, repeatable
        size = self.size
        operations = [self._operation(i) for i in range(size.operations)]
        offers = [self._offer(i, near=near) for i in range(size.applications) for near in (1, 0)]
        rooms = [
            CloudRoom("near", size.near, boot_timeout_s=_BOOT_TIMEOUT_S),
            CloudRoom(
                "far",
                size.far,
                price_per_day=size.price_per_day,
                boot_timeout_s=_BOOT_TIMEOUT_S,
            ),
        ]
        foreign = frozenset(
            Binding(f"streams.other{i}", f"theirs.{i}") for i in range(size.streams)
        )
        self.world = World(operations, offers, rooms, boots=self._boots, foreign=foreign)

    def _operation(self, number: int) -> Operation:
        return operation(
            f"o{number}",
            f"in{number}",
            f"out{number}",
            application=f"a{number % self.size.applications}",
            instances=Instances(1, 3),
            linger_s=_LINGER_S,
        )

    def _offer(self, number: int, *, near: int) -> Offer:
        return offer(
            f"a{number}",
            "near" if near else "far",
            image=f"img-a{number}-{near}",
            rank=1 if near else 2,
            slots=1 + number % 3,
            hours=2.0,
            price_per_hour=0.0 if near else 0.5,
            boot_s=_BOOT_S,
            idle_s=_IDLE_S,
        )

    def _boots(self, machine: MachineRecord) -> bool:
        """One machine in a hundred never comes up."""
        return random.Random(f"{self.seed} {machine.node}").random() > 0.01  # noqa: S311

    def run(self) -> None:
        """Live through the day, then let all demand go."""
        steps = int(self.size.hours * HOUR_S / self.size.step_s)
        for number in range(steps):
            self.live(number / steps)
        self._check_flapping()
        self.converge()

    def live(self, part_of_day: float) -> None:
        """Let people, managers and machines do what they do, and look."""
        self._people(part_of_day)
        if self._random.random() < 0.01:
            self._takeover()
        if self._random.random() < 0.05:
            self._death()
        self.check(self.world.step(self.size.step_s))

    def converge(self) -> None:
        """Without demand every machine goes, and none comes."""
        self.world.consumed.clear()
        self.wanted_since.clear()
        self.world.instances.clear()
        launched = self.world.launched
        longest_s = _LINGER_S + 2 * _IDLE_S
        for _ in range(int(longest_s / self.size.step_s) + 5):
            self.world.step(self.size.step_s)
        assert not self.world.records
        assert self.world.launched == launched

    def _people(self, part_of_day: float) -> None:
        """More of them are there at noon; each stays for some time."""
        world, size = self.world, self.size
        share = 0.1 + 0.8 * (1 - abs(2 * part_of_day - 1))
        for made in world.operations:
            if self._random.random() > size.step_s / 1800:  # minds change every half hour
                continue
            if self._random.random() < share:
                if made.output_stream not in world.consumed:
                    world.consumed.add(made.output_stream)
                    self.wanted_since[made.name] = world.now_s
                    self.causes += 1
                instances = self._random.choice([1, 1, 1, 2, 3])
                self.causes += max(0, instances - world.instances.get(made.name, 1))
                world.instances[made.name] = instances
            else:
                world.consumed.discard(made.output_stream)
                self.wanted_since.pop(made.name, None)

    def _death(self) -> None:
        alive = [
            n
            for n, r in self.world.records.items()
            if r.phase is Phase.READY and n not in self.world.killed
        ]
        if alive:
            self.world.killed[self._random.choice(alive)] = self.world.now_s

    def _takeover(self) -> None:
        """A new leader begins with nothing but the records; its predecessor launches once more."""
        world = self.world
        world.memory.clear()
        room = Counter(r.cloud for r in world.records.values())["near"] < self.size.near
        if room:
            double = next(o for o in world.offers if o.cloud == "near")
            world.launch(Launch(double, "by one who doesn't lead any more"))
        world.term += 1

    def check(self, made: Plan) -> None:
        """What holds after every look."""
        world = self.world
        live = Counter(record.cloud for record in world.records.values())
        self.most = max(self.most, len(world.records))
        for room in world.rooms:
            assert live[room.cloud] <= room.machines
            if room.price_per_day is not None:
                assert world.spent(room.cloud) <= room.price_per_day
        for record in world.records.values():
            self._has_reason(record)
        for name in self.wanted_since:
            self._is_met(name, made)
        spare = [r for r in world.records.values() if r.term < world.term and r.idle_since]
        assert not any(r.phase in {Phase.LAUNCHING, Phase.BOOTING} for r in spare)

    def _has_reason(self, record: MachineRecord) -> None:
        """A machine works, comes for somebody, leaves, or isn't without work for long."""
        world = self.world
        assert record.why
        if record.phase in {Phase.DRAINING, Phase.ENDING} or world.told.get(record.node):
            return
        age_s = (world.now - record.launched_at).total_seconds()
        if age_s <= _BOOT_S + 2 * self.size.step_s:  # it boots
            return
        if record.node in world.killed or not self._boots(record):
            return  # given up in its own time, which other tests watch
        if any(record.node in memory.draining for memory in world.memory.values()):
            return
        assert record.idle_since is not None
        idle_s = (world.now - record.idle_since).total_seconds()
        assert idle_s <= _IDLE_S + self.size.step_s

    def _is_met(self, name: str, made: Plan) -> None:
        """Demand is met within its bound, unless nobody may pay for it."""
        verdict, now_s = made.verdicts[name], self.world.now_s
        running = verdict.state is OperationState.RUNNING
        if running or any(text in verdict.reason for text in _SPARED):
            self.wanted_since[name] = now_s  # if it is lost, or there is room, the clock begins
        assert now_s - self.wanted_since[name] <= _BOUND_S + 5 * self.size.step_s, verdict

    def _check_flapping(self) -> None:
        """Every launch has a cause of its own."""
        ends = [*self.world.ended, *self.world.records.values()]
        other = ("lost", "failed to boot", "its lease", "launched by a former", "far: ")
        replaced = sum(r.why.startswith(other) for r in ends)
        assert self.world.launched <= self.causes + replaced
