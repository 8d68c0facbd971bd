"""How each operation and node is: what people and Prometheus are shown, and what changed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from manager import events
from manager.events import Event
from manager.machines.model import Breaker, CloudRoom, MachineRecord, Phase, Seen
from manager.model import (
    ArchiveStatus,
    NodeState,
    Operation,
    OperationState,
    OperationStatus,
    Operator,
)
from manager.rates import RateMeter, Rates, summed
from manager.reconcile.verdicts import Verdict
from manager.replays.state import UNFINISHED, ReplayState
from streams import names
from streams.control import LATE_S, LOST_S
from streams.names import QueueRole

#: Backlog unacknowledged included, and dead letters, of each operation.
Depths = Mapping[str, tuple[int, int]]
#: Of dead letters that go on coming is told no more often.
_DEAD_S = 60.0
#: At its launch a lease's end is ours, then the cloud's; so much less is no news.
_LEASE_MOVED_S = 60.0
#: What is behind a node's state.
_NODE_REASONS = {
    NodeState.BOOTING: "its agent begins",
    NodeState.READY: "its agent is heard",
    NodeState.LATE: f"not heard for {LATE_S:g} s",
    NodeState.LOST: f"not heard for {LOST_S:g} s: its operations go elsewhere",
    NodeState.DRAINING: "it finishes what it has, and takes nothing new",
    NodeState.GONE: "its agent ended",
    NodeState.OUTDATED: "its agent speaks another version",
}
#: What becomes of a replay that is forgotten before its end.
_CANCELLED = "cancelled"


def operation_depths(queues: Mapping[str, int]) -> Depths:
    """Return the depths of operations from those of queues."""
    operations = {
        parsed.owner
        for queue in queues
        if (parsed := names.parse_queue(queue)).role is QueueRole.OPERATION
    }
    return {
        operation: (
            queues[names.operation_queue(operation)],
            queues.get(names.dead_queue(operation), 0),
        )
        for operation in operations
    }


@dataclass(frozen=True, slots=True)
class Load:
    """What the nodes' counters and the queues' depths say just now."""

    operators: Mapping[str, Sequence[Operator]] = field(default_factory=dict)
    rates: Mapping[str, Rates] = field(default_factory=dict)
    depths: Depths = field(default_factory=dict)

    def backlog(self, operation: Operation) -> int | None:
        """Return how many messages the operation has before it, where that is known."""
        known = self.depths.get(operation.name)
        return known[0] if known else None

    def rate_per_instance(self, operation: Operation) -> float | None:
        """Return the messages a second that one of its operators does, where that is known."""
        rate = self.rates.get(operation.name)
        return rate.per_operator if rate else None


class Board:
    """The latest statuses. Written by one thread; read by any."""

    def __init__(self) -> None:
        self.statuses: Mapping[str, OperationStatus] = {}
        self.archives: Mapping[str, ArchiveStatus] = {}
        self._nodes: Mapping[str, NodeState] = {}
        self._replays: Mapping[str, tuple[ReplayState, str]] | None = None
        self._machines: Mapping[str, MachineRecord] | None = None
        self._clouds: Mapping[str, tuple[str, str]] = {}
        self._images: Mapping[str, tuple[str, str]] = {}
        self._meter = RateMeter()
        #: how many dead letters were told of, or seen at first, and when that was told
        self._dead: dict[str, tuple[int, float]] | None = None

    @property
    def is_replaying(self) -> bool:
        """Whether a replay isn't over."""
        return any(state in UNFINISHED for state, _ in (self._replays or {}).values())

    def load(self, operators: Mapping[str, Sequence[Operator]], depths: Depths) -> Load:
        """Take the nodes' counters in."""
        busy = {operation for operation, (backlog, _) in depths.items() if backlog}
        reports = {name: [one.report for one in mine] for name, mine in operators.items()}
        return Load(operators, self._meter.look(reports, busy, now_s=time.monotonic()), depths)

    def judge(self, verdicts: Mapping[str, Verdict], load: Load) -> list[Event]:
        """Keep what was decided of each operation; return an event for each change of state."""
        before, self.statuses = (
            self.statuses,
            {name: self._status(name, verdict, load) for name, verdict in verdicts.items()},
        )
        return [
            events.state_changed(
                "operation",
                name,
                before=old.state if (old := before.get(name)) else None,
                after=status.state,
                reason=status.reason,
                nodes=status.nodes,
            )
            for name, status in self.statuses.items()
            if name not in before or before[name].state is not status.state
        ]

    def see_dead_letters(self, depths: Depths, *, now_s: float) -> list[Event]:
        """Return an event for each operation that has more dead letters than were told of."""
        told: list[Event] = []
        never = float("-inf")
        if self._dead is None:  # what was there before this manager began is no news
            self._dead = {operation: (dead, never) for operation, (_, dead) in depths.items()}
        before, self._dead = self._dead, {}
        for operation, (_, dead) in depths.items():
            known, at_s = before.get(operation, (0, never))
            if dead > known and now_s - at_s >= _DEAD_S:
                fields = {"more": dead - known, "dead_letters": dead}
                told.append(Event("operation.dead-letters", operation, fields))
                known, at_s = dead, now_s
            self._dead[operation] = min(known, dead), at_s
        return told

    def see_nodes(self, nodes: Mapping[str, NodeState]) -> list[Event]:
        """Keep each node's state; return an event for each change."""
        before, self._nodes = self._nodes, dict(nodes)
        return [
            events.state_changed(
                "node", name, before=before.get(name), after=state, reason=_NODE_REASONS[state]
            )
            for name, state in nodes.items()
            if before.get(name) is not state
        ]

    def see_machines(self, machines: Sequence[MachineRecord]) -> list[Event]:
        """Keep the phase of each machine that hasn't ended; return an event for each change."""
        before, now = self._machines, {machine.node: machine for machine in machines}
        self._machines = now
        if before is None:  # what was there before this manager began is no news
            return []
        ended = [replace(m, phase=Phase.ENDED) for node, m in before.items() if node not in now]
        renewed = [
            events.lease_moved(machine)
            for machine in machines
            if (known := before.get(machine.node))
            and abs((machine.ends_at - known.ends_at).total_seconds()) >= _LEASE_MOVED_S
        ]
        return renewed + [
            events.machine_changed(machine, before.get(machine.node))
            for machine in (*machines, *ended)
            if machine.node not in before or before[machine.node].phase is not machine.phase
        ]

    def see_clouds(self, about: Seen) -> list[Event]:
        """Keep where machines can be launched, and from what; return an event for each change."""
        now = {room.cloud: _cloud_state(room, about.now) for room in about.rooms}
        before, self._clouds = self._clouds, now
        return _changed("cloud", before, now) + self._see_breakers(about)

    def _see_breakers(self, about: Seen) -> list[Event]:
        now = {image: _image_state(b) for (_, image), b in about.breakers.items()}
        before, self._images = self._images, now
        usable = dict.fromkeys(before, ("usable", "it booted, or may be tried again"))
        return _changed("image", before, {**usable, **now})

    def see_archives(self, archives: Mapping[str, ArchiveStatus]) -> list[Event]:
        """Keep how each archive is; return an event for each change of state."""
        before, self.archives = self.archives, archives
        return [
            events.state_changed(
                "archive",
                stream,
                before=before[stream].state if stream in before else None,
                after=status.state,
                reason=status.reason,
            )
            for stream, status in archives.items()
            if stream not in before or before[stream].state is not status.state
        ]

    def see_replays(self, replays: Mapping[str, tuple[ReplayState, str]]) -> list[Event]:
        """Keep the state of each replay, with its reason; return an event for each change."""
        if self._replays is None:  # what had ended before this manager began is no news
            self._replays = {r: told for r, told in replays.items() if told[0] not in UNFINISHED}
        before, self._replays = self._replays, replays
        gone = {
            replay: (_CANCELLED, "")
            for replay, (state, _) in before.items()
            if replay not in replays and state in UNFINISHED
        }
        return [
            events.state_changed(
                "replay",
                replay,
                before=before[replay][0] if replay in before else None,
                after=state,
                reason=reason,
            )
            for replay, (state, reason) in {**replays, **gone}.items()
            if replay not in before or before[replay][0] != state
        ]

    def _status(self, name: str, verdict: Verdict, load: Load) -> OperationStatus:
        before = self.statuses.get(name)
        backlog, dead = load.depths.get(name, (None, None))
        rate = load.rates.get(name)
        operators = tuple(load.operators.get(name, ()))
        return OperationStatus(
            state=verdict.state,
            reason=verdict.reason,
            nodes=verdict.nodes,
            backlog_messages=backlog,
            dead_letters=dead,
            since=_since(before, verdict, operators),
            counters=summed([one.report for one in operators]),
            rate_in=rate.rate_in if rate else None,
            rate_out=rate.rate_out if rate else None,
            operators=operators,
        )


def _since(
    before: OperationStatus | None, verdict: Verdict, operators: Sequence[Operator]
) -> datetime | None:
    """Return since when an operation is in its state: it may be older than this manager."""
    if before is not None and before.state is verdict.state:
        return before.since
    known = [one.since for one in operators if one.since]
    begun = before is None and verdict.state is OperationState.RUNNING and known
    return min(known) if begun else datetime.now(UTC)


def _changed(
    kind: str, before: Mapping[str, tuple[str, str]], now: Mapping[str, tuple[str, str]]
) -> list[Event]:
    """Return an event for each thing that is in another state than before; with its reason."""
    states = {name: state for name, (state, _) in before.items()}
    return [
        events.state_changed(kind, name, before=states.get(name), after=state, reason=reason)
        for name, (state, reason) in now.items()
        if states.get(name) != state
    ]


def _cloud_state(room: CloudRoom, now: datetime) -> tuple[str, str]:
    if room.paused_until and room.paused_until > now:
        return "paused", f"{room.pause}; nothing is launched before {room.paused_until:%H:%M:%S %Z}"
    return "open", "machines may be launched"


def _image_state(breaker: Breaker) -> tuple[str, str]:
    times = f"{breaker.failed_boots} boot{'s' * (breaker.failed_boots != 1)} failed in a row"
    if breaker.is_open:
        return "refused", f"{times}: not tried any more"
    return "doubtful", f"{times}: one machine at a time tries it"


class Clock:
    """Says when something is due again. Belongs to one thread."""

    def __init__(self) -> None:
        self._last_s = float("-inf")

    def due(self, every_s: float) -> bool:
        """Say whether `every_s` seconds have passed since this last said so."""
        now_s = time.monotonic()
        if now_s - self._last_s < every_s:
            return False
        self._last_s = now_s
        return True
