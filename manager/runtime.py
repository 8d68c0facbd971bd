"""The manager at work: hears nodes and broker, plans, acts, and knows how everything is."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

import structlog

from manager import metrics
from manager.archives import ArchivePlace, status_of, undemanding
from manager.board import Board, Load, operation_depths
from manager.broker import Kept, Kind, ManagerBroker
from manager.causes import with_causes
from manager.demand import BrokerView, stream_consumers
from manager.dispatcher import NodeView
from manager.fleet import Fleet
from manager.lease import ASK_S, Lease, LeaseStore
from manager.machines.cloud_keeper import Interest
from manager.machines.ground import Desk
from manager.machines.keeper import Keeper, KeeperStore
from manager.machines.model import Seen
from manager.machines.sights import CloudView
from manager.model import (
    Archive,
    ArchivePhase,
    ArchiveStatus,
    LogEntry,
    NodeRecord,
    NodeState,
    NodeStatus,
    Operation,
    OperationStatus,
    Stream,
)
from manager.reconcile.apply import Applier
from manager.reconcile.instances import instances_for
from manager.reconcile.memory import Memory
from manager.reconcile.plan import Observed, Plan, plan
from manager.replays.state import ReplayState
from manager.teller import Teller, TellerStore
from manager.trials import Trials
from manager.upkeep import GONE_S, Upkeep
from manager.watch import BrokerWatch
from streams import names
from streams.control import LATE_S, TrialTold
from streams.definition import ProcessDefinition
from streams.errors import ControlError, StreamsError
from streams.settings import Settings

log = structlog.get_logger()
#: The longest pause between two looks, and while nothing is at work; demand, heartbeats and what
#: people change here wake it at once, what they change by another manager doesn't.
LOOK_S, REST_S = 2.0, 4.0
#: How long new demand waits at most to hear what clouds offer just now.
BROWSE_S = 1.0


class RuntimeStore(LeaseStore, TellerStore, KeeperStore, Protocol):
    """What the runtime needs of the store."""

    def list_operations(self) -> list[Operation]:
        """Return every operation."""

    def list_streams(self) -> list[Stream]:
        """Return every stream."""

    def list_archives(self) -> list[Archive]:
        """Return every archive."""

    def replay_states(self) -> dict[str, tuple[ReplayState, str]]:
        """Return the state of each replay, and the reason."""

    def list_nodes(self) -> list[NodeRecord]:
        """Return every node that was added."""

    def readable_buckets(self) -> Mapping[str, tuple[str, ...] | None]:
        """Return the buckets that each user's operations may read; None: no grant is needed."""


class Runtime:
    """Threads for the broker and for reconciling; every method may be called from any thread."""

    def __init__(self, settings: Settings, store: RuntimeStore, desk: Desk | None = None) -> None:
        """Prepare to work; machines are launched where there is a `desk` to do it from."""
        self._store, self._objects = store, settings.objects
        self._lease = Lease(store)
        self._fleet = Fleet()
        self.broker = ManagerBroker(settings, self._hear)
        self._trials = Trials(self.broker.ask_trial)
        self.place = ArchivePlace(settings)
        self._watch = BrokerWatch(settings, self.broker.management, self.poke)
        self._upkeep = Upkeep(self.broker, self._watch)
        self._applier = Applier(self.broker, self._watch)
        self._board = Board()
        self._dirty, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self._started_s = time.monotonic()
        self._memory: Mapping[str, Memory] = {}
        self._archives = list[Archive]()
        self._teller = Teller(store, self.broker)
        self.machines = Keeper(desk, store, self.broker, poke=self.poke, forget=self.forget_node)
        self._is_settled = False
        self._term: int | None = None
        self._interest, self._wanted = Interest(), frozenset[str]()
        self._planned_term: int | None = None
        self._problems: list[str] = ["starting"]

    # ---- for the API

    def start(self) -> None:
        """Connect and begin to reconcile, in the background."""
        self.broker.start()
        self._watch.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop deciding; what runs goes on."""
        self._stopping.set()
        self._dirty.set()
        self._thread.join(10)
        self.machines.stop()
        self._watch.stop()
        self.broker.stop()

    def poke(self) -> None:
        """Look again now: something changed."""
        self._dirty.set()

    def problems(self) -> list[str]:
        """Return what keeps the manager from being ready, a line each; empty when it is."""
        return list(self._problems)

    def notes(self) -> list[str]:
        """Return what endangers messages though the manager does its work, a line each."""
        return self._upkeep.notes.lines()

    def statuses(self) -> Mapping[str, OperationStatus]:
        """Return how each operation is."""
        return self._board.statuses

    def archive_status(self, archive: Archive) -> ArchiveStatus:
        """Return how an archive is."""
        queue = names.archive_queue(archive.stream)
        return status_of(
            archive,
            archivers=self._watch.view().consumed.get(queue, 0),
            lag_messages=self._upkeep.depths.get(queue),
        )

    def nodes(self) -> list[NodeStatus]:
        """Return how each node is, those never heard of included."""
        heard = self._fleet.statuses()
        return [
            replace(
                status,
                state=record.state(status.state),
                offers=record.allowed(status.offers),
            )
            if (status := heard.get(record.name))
            else NodeStatus(record.name, NodeState.GONE, offers=())
            for record in self._store.list_nodes()
        ]

    def forget_node(self, name: str) -> None:
        """Forget a node that was removed."""
        self._fleet.forget(name)
        self._applier.forget(name)
        self.poke()

    def clouds(self) -> list[CloudView]:
        """Return the clouds of the inventory, as this manager knows them."""
        return self.machines.clouds()

    def renew_machine(self, node: str, hours: float) -> str:
        """Let the lease of a launched machine end `hours` from now; return what went wrong."""
        return self.machines.renew(node, hours)

    def logs(self, operation: str) -> list[LogEntry]:
        """Return the latest stderr lines of an operation's programs."""
        return self._fleet.logs(operation)

    def stream_consumers(self, streams: Iterable[str]) -> Mapping[str, int]:
        """Return how many queues outside collect each of these streams."""
        return stream_consumers(streams, self._view())

    def try_out(self, definition: ProcessDefinition, body: bytes, content_type: str) -> TrialTold:
        """Have a program tried on a node; return what came of it, within a minute.

        Raises:
            ConflictError: no node can try it now.
            NoAnswerError: the node said nothing in time.
            BrokerError: the broker is away.
        """
        added = {record.name: record for record in self._store.list_nodes()}
        return self._trials.make(self._node_views(added), definition, body, content_type)

    def leads(self) -> bool:
        """Say whether this manager is the one that decides."""
        return self._term is not None

    def live(self) -> bool:
        """Say whether changes on the broker are seen at once, or every two seconds."""
        return self._watch.live

    def metrics(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return metrics.exposition(
            self.statuses(),
            self.nodes(),
            self._archives_now(),
            self._store.machines(),
            leads=self.leads(),
            live=self.live(),
        )

    # ---- the loop

    def _hear(self, routing_key: str, raw: bytes) -> None:
        try:
            _, node, kind = routing_key.split(".", 2)
            if kind == "tried":
                self._trials.hear(node, raw)
            elif self._fleet.hear(routing_key, raw):
                self.poke()
        except (ControlError, ValueError) as error:
            log.warning("a node was not understood", routing_key=routing_key, error=str(error))

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping.is_set():
            self._dirty.wait(pause_s)
            self._dirty.clear()
            if self._stopping.is_set():
                break
            pause_s = self._look()
        try:
            self._lease.release()
        except StreamsError as error:
            log.warning("lease not released", error=str(error))

    def _look(self) -> float:
        """Look once, act, and return for how long nothing changes by time alone."""
        try:
            problems, pause_s = self._reconcile()
        except StreamsError as error:
            problems, pause_s = [str(error)], LOOK_S
        except Exception as error:
            log.exception("a look failed; the next one follows")
            problems, pause_s = [f"internal error: {error!r}"], LOOK_S
        if problems != self._problems and problems:
            log.warning("problems", problems=problems)
        self._problems = problems
        return pause_s

    def _reconcile(self) -> tuple[list[str], float]:
        self._term = self._lease.term()
        if self._term is not None and self._term != self._planned_term:
            # who led in between placed operations: what runs says where
            self._planned_term, self._memory = self._term, {}
        listening_s = self._fleet.listen(connected=self.broker.connected)
        about = self.machines.see(listening_s=listening_s)
        self.machines.tend(about, self._term, self._interest)
        self._upkeep.refresh()
        operations = self._store.list_operations()
        self._archives = self._store.list_archives()
        added = {record.name: record for record in self._store.list_nodes()}
        self._ensure(operations)
        nodes = self._node_views(added)
        load = self._load()
        made = self._planned(self._observed(operations, nodes, added.keys(), load, about))
        problems: list[str] = []
        if self._term is not None:
            self._memory = made.memory
            by_name = {o.name: o for o in operations}
            problems = self._applier.apply(made, nodes, by_name, self._term, self._lease.holds)
            if problems:
                self._upkeep.doubt()  # what can't be bound may be gone: somebody deleted it
            self.machines.decide(made.machines, about, self._term)
        self._interest = Interest(bool(operations), bool(made.machines.waiting))
        self._tell(made, operations, nodes, load, about)
        longest_s = self._longest_s(made, about)
        return problems, min(longest_s, made.next_look_s or longest_s)

    def _load(self) -> Load:
        depths = self._upkeep.read_depths(is_active=self._is_active())
        return self._board.load(self._fleet.operators(), operation_depths(depths))

    def _longest_s(self, made: Plan, about: Seen) -> float:
        """For how long to pause at most."""
        if self._term is None:
            return ASK_S
        if self._upkeep.is_missing:
            return GONE_S
        busy = made.wanted or about.machines or self._is_active() or self._board.is_replaying
        return LOOK_S if busy or not self._watch.live else REST_S

    def _is_active(self) -> bool:
        """Whether an operation or an archive has queues to be watched."""
        placed = any(memory.nodes or memory.draining for memory in self._memory.values())
        return placed or any(a.phase is not ArchivePhase.STOPPED for a in self._archives)

    def _planned(self, seen: Observed) -> Plan:
        """Plan; anew if clouds have news for new demand: an image may have been made just now."""
        made = plan(seen)
        if seen.machines and made.wanted - self._wanted and self.machines.browse(BROWSE_S):
            known = seen.machines
            offers = self.machines.see(listening_s=known.listening_s).offers
            made = plan(replace(seen, machines=replace(known, offers=offers)))
        self._wanted = made.wanted
        return made

    def _observed(
        self,
        operations: list[Operation],
        nodes: list[NodeView],
        added: AbstractSet[str],
        load: Load,
        about: Seen,
    ) -> Observed:
        return Observed(
            now=time.monotonic(),
            operations=operations,
            view=self._view(),
            nodes=nodes,
            settled=self._settled(added),
            demand_known=self._watch.whole,
            instances={
                o.name: instances_for(o, load.backlog(o), load.rate_per_instance(o))
                for o in operations
            },
            memory=self._memory,
            objects=self._objects,
            buckets=self._store.readable_buckets(),
            machines=replace(about, term=self._term or 0),
        )

    def _node_views(self, added: Mapping[str, NodeRecord]) -> list[NodeView]:
        return [
            replace(view, state=record.state(view.state), offers=record.allowed(view.offers))
            for view in self._fleet.views()
            if (record := added.get(view.name))
        ]

    def _ensure(self, operations: list[Operation]) -> None:
        def kept() -> Iterator[Kept]:
            yield from (Kept(Kind.STREAM, each.name) for each in self._store.list_streams())
            yield from (Kept(Kind.OPERATION, each.name) for each in operations)
            for archive in self._archives:
                if archive.phase is ArchivePhase.RECORDING:
                    yield Kept(Kind.ARCHIVE, archive.stream)

        self._upkeep.ensure(kept, leads=self._term is not None)

    def _settled(self, added: AbstractSet[str]) -> bool:
        """Whether all demand was seen, and each node was heard or had its time to speak.

        Once so, always so: a node added later has nothing that could be overlooked.
        """
        if not self._is_settled and self._watch.seeded:
            waited_s = time.monotonic() - self._started_s
            self._is_settled = added <= self._fleet.heard() or waited_s >= LATE_S
        return self._is_settled

    def _view(self) -> BrokerView:
        return replace(self._watch.view(), passive=undemanding(self._archives))

    def _archives_now(self) -> list[tuple[Archive, ArchiveStatus]]:
        return [(archive, self.archive_status(archive)) for archive in self._archives]

    def _tell(
        self,
        made: Plan,
        operations: list[Operation],
        nodes: list[NodeView],
        load: Load,
        about: Seen,
    ) -> None:
        """Keep how everything is, and publish what changed."""
        if not made.settled:
            return
        happened = with_causes(self._board.judge(made.verdicts, load), operations, self._view())
        happened += self._board.see_dead_letters(load.depths, now_s=time.monotonic())
        happened += self._board.see_nodes({node.name: node.state for node in nodes})
        happened += self._board.see_machines(about.machines)
        happened += self._board.see_clouds(about)
        happened += self._board.see_replays(self._store.replay_states())
        happened += self._board.see_archives({a.stream: s for a, s in self._archives_now()})
        if self._term is None:
            return
        self._teller.tell(happened)
