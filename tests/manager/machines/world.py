"""A world with a clock and a cloud of its own: records are kept as the store keeps them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from manager.demand import Binding, BrokerView
from manager.dispatcher import NodeView
from manager.machines import money
from manager.machines.model import (
    Breaker,
    CloudRoom,
    Decisions,
    Ending,
    Launch,
    MachineRecord,
    Offer,
    Phase,
    Seen,
)
from manager.machines.needs import offered
from manager.model import NodeState, Operation
from manager.reconcile.memory import Memory
from manager.reconcile.plan import Observed, Plan, plan
from streams.control import LOST_S, OperatorReport, OperatorState

START = datetime(2026, 3, 1, tzinfo=UTC)
LISTENING_S = 86_400.0
_ALIVE = frozenset({Phase.BOOTING, Phase.READY, Phase.DRAINING})


def offer(application: str = "test", cloud: str = "local", **fields: object) -> Offer:
    given: dict[str, object] = {
        "image": f"img-{application}",
        "size": "small",
        "hours": 24.0,
        "boot_s": 30.0,
    }
    return Offer(application, cloud, **{**given, **fields})  # type: ignore[arg-type]


@dataclass
class World:
    """Machines boot in their offer's time and do at once what they are told."""

    operations: list[Operation]
    offers: list[Offer] = field(default_factory=list)
    rooms: list[CloudRoom] = field(default_factory=lambda: [CloudRoom("local", 100)])
    consumed: set[str] = field(default_factory=set)
    instances: dict[str, int] = field(default_factory=dict)
    boots: Callable[[MachineRecord], bool] = lambda _machine: True
    planner: Callable[[Observed], Plan] = plan
    term: int = 1
    now_s: float = 0.0
    #: by how much the manager's wall clock was set since it began
    clock_set: timedelta = timedelta(0)
    others: list[NodeView] = field(default_factory=list)
    records: dict[str, MachineRecord] = field(default_factory=dict)
    ended: list[MachineRecord] = field(default_factory=list)
    breakers: dict[tuple[str, str], Breaker] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    #: when a machine died, by node
    killed: dict[str, float] = field(default_factory=dict)
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    launched: int = 0
    _offers: dict[str, Offer] = field(default_factory=dict)
    #: bindings that have nothing to do with the operations
    foreign: frozenset[Binding] = frozenset()

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.now_s)

    def step(self, seconds: float = 2.0, times: int = 1, *, demand_known: bool = True) -> Plan:
        """Let time pass, look and act, `times` times; return the last plan."""
        for _ in range(times):
            self.now_s += seconds
            self._cloud_works()
            made = self.planner(self.observed(demand_known=demand_known))
            self.memory = dict(made.memory)
            self.bound |= {o.name for o in made.bind}
            self.bound -= {o.name for o in made.unbind}
            self.told = {
                node: tuple(a.operation for a in assigned if not a.draining)
                for node, assigned in made.assignments.items()
            }
            self.keep(made.machines)
        return made

    def observed(self, *, demand_known: bool = True) -> Observed:
        return Observed(
            self.now_s,
            self.operations,
            self._view(),
            self.nodes(),
            demand_known=demand_known,
            instances=self.instances,
            memory=self.memory,
            machines=self.seen(),
        )

    def seen(self) -> Seen:
        return Seen(
            now=self.now,
            date=self.now + self.clock_set,
            term=self.term,
            listening_s=LISTENING_S,
            machines=list(self.records.values()),
            offers=self.offers,
            rooms=[
                replace(r, spent=money.spent(self.ended, r.cloud, self.now)) for r in self.rooms
            ],
            breakers=self.breakers,
            unusable=self.unusable,
        )

    def nodes(self) -> list[NodeView]:
        made = list(self.others)
        for record in self.records.values():
            if record.phase not in _ALIVE or not self._is_up(record):
                continue
            silent_s = self.now_s - self.killed.get(record.node, self.now_s)
            made.append(self._node(record, silent_s))
        return made

    def keep(self, made: Decisions) -> None:
        """Put decisions into the records, as the store does."""
        for launch in made.launches:
            self.launch(launch)
        for node in made.ready:
            self._change(node, phase=Phase.READY, ready_at=self.now)
            record = self.records[node]
            self.breakers.pop((record.cloud, record.image), None)
        for node, since in made.idle.items():
            self._change(node, idle_since=since)
        for ending in made.drains:
            self._change(ending.node, phase=Phase.DRAINING, why=ending.why)
        for ending in made.ends:
            self._end(ending)

    def launch(self, launch: Launch) -> None:
        self.launched += 1
        chosen = launch.offer
        self.records[f"m{self.launched}"] = MachineRecord(
            node=f"m{self.launched}",
            cloud=chosen.cloud,
            application=chosen.application,
            image=chosen.image,
            size=chosen.size,
            phase=Phase.LAUNCHING,
            why=launch.why,
            term=self.term,
            launched_at=self.now,
            phase_at=self.now,
            ends_at=self.now + self.clock_set + timedelta(hours=chosen.hours),
            price_per_hour=chosen.price_per_hour,
        )

    def pin(self, application: str, operation: int = 1) -> None:
        """Let an operation, by its number, name another application."""
        made = self.operations[operation - 1]
        definition = made.definition.model_copy(update={"application": application})
        self.operations[operation - 1] = replace(made, definition=definition)

    def silences(self, cloud: str, words: str) -> None:
        """Let a cloud never have said what it offers."""
        self.rooms = [replace(r, silence=words) if r.cloud == cloud else r for r in self.rooms]

    def phases(self) -> dict[str, Phase]:
        return {node: record.phase for node, record in self.records.items()}

    def spent(self, cloud: str) -> float:
        return money.spent([*self.records.values(), *self.ended], cloud, self.now)

    def _cloud_works(self) -> None:
        """A launch gets its handle, and a termination its confirmation, between two looks."""
        for record in list(self.records.values()):
            if record.phase is Phase.LAUNCHING:
                self._change(record.node, phase=Phase.BOOTING, handle=f"i-{record.node}")
            elif record.phase is Phase.ENDING:
                gone = replace(record, phase=Phase.ENDED, ended_at=self.now)
                self.ended = [m for m in self.ended if m.ended_at and m.ended_at > self._yesterday]
                self.ended.append(gone)
                del self.records[record.node]

    @property
    def _yesterday(self) -> datetime:
        return self.now - money.DAY

    def _is_up(self, record: MachineRecord) -> bool:
        age_s = (self.now - record.launched_at).total_seconds()
        return self.boots(record) and age_s >= self._like(record).boot_s

    def _like(self, record: MachineRecord) -> Offer:
        found = self._offers.get(record.image)
        if found is None:
            self._offers = {o.image: o for o in reversed(self.offers)}
            found = self._offers[record.image]
        return found

    def _node(self, record: MachineRecord, silent_s: float) -> NodeView:
        like = self._like(record)
        return NodeView(
            record.node,
            NodeState.LOST if silent_s >= LOST_S else NodeState.READY,
            offers=(offered(like.application, like.content),),
            slots=like.slots,
            incarnation="1",
            reports=tuple(
                OperatorReport(operation=o, revision=1, state=OperatorState.RUNNING)
                for o in self.told.get(record.node, ())
            ),
            silent_s=silent_s,
        )

    def _end(self, ending: Ending) -> None:
        record = self.records[ending.node]
        self._change(ending.node, phase=Phase.ENDING, why=ending.why)
        if ending.boot_failed:
            key = (record.cloud, record.image)
            failed = self.breakers.get(key, Breaker(record.image, 0)).failed_boots
            self.breakers[key] = Breaker(record.image, failed + 1, "kernel panic")

    def _change(self, node: str, **fields: object) -> None:
        record = replace(self.records[node], **fields)  # type: ignore[arg-type]
        if "phase" in fields:
            record = replace(record, phase_at=self.now)
        self.records[node] = record

    def _view(self) -> BrokerView:
        outside = {Binding(f"streams.{s}", f"mine.{s}") for s in self.consumed}
        own = {
            Binding(f"streams.{o.input_stream}", f"operations.{o.name}")
            for o in self.operations
            if o.name in self.bound
        }
        return BrokerView(self.foreign | outside | own, {f"mine.{s}": 1 for s in self.consumed})
