"""The nodes as their heartbeats tell them, by the manager's own clock; and what they log."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from manager.dispatcher import NodeView
from manager.model import LogEntry, NodeState, NodeStatus, Operator
from streams import control
from streams.control import Heartbeat, LogLines, OperatorState
from streams.errors import ControlError

#: Log entries kept for each operation, and for how many operations.
_LOG_ENTRIES, _LOGGED_OPERATIONS = 200, 5000
#: What an agent sends at once is a tenth of this.
_LOG_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Seen:
    heartbeat: Heartbeat | None
    at_s: float
    at: datetime


class Fleet:
    """Takes what nodes say in; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._nodes: dict[str, _Seen] = {}
        self._logs: dict[str, deque[LogEntry]] = defaultdict(lambda: deque(maxlen=_LOG_ENTRIES))
        self._listens_since_s: float | None = None
        self._deaf_since_s: float | None = None
        self._asked_s: float | None = None

    def listen(self, *, connected: bool) -> float:
        """Note whether nodes can be heard; return for how long without a break, in seconds.

        A time in which nobody could be heard is no node's silence: nobody is lost by it. Nor is one
        in which nobody asked: this process stood still, and what was said waits for it.
        """
        now_s = self._clock()
        asked_s, self._asked_s = self._asked_s, now_s
        if asked_s is not None and now_s - asked_s >= control.LATE_S:
            self._listens_since_s = None
            self._deaf_since_s = self._deaf_since_s or asked_s
        if not connected:
            self._listens_since_s = None
            self._deaf_since_s = self._deaf_since_s or now_s
            return 0.0
        if self._listens_since_s is None:
            self._listens_since_s = now_s
            self._excuse(now_s)
        return now_s - self._listens_since_s

    def hear(self, routing_key: str, raw: bytes) -> bool:
        """Take one control message in; say whether it changes anything but the time.

        Raises:
            ControlError: it can't be understood; its node is `outdated` if it has another version.
        """
        _, node, kind = routing_key.split(".", 2)
        if kind == "log":
            self._log(node, control.decode(LogLines, raw))
            return False
        try:
            heartbeat = control.decode(Heartbeat, raw)
        except ControlError:
            self._keep(node, None)
            raise
        if heartbeat.node != node:
            raise ControlError(f"node {node!r} speaks for {heartbeat.node!r}")
        before = self._keep(node, heartbeat)
        return before is None or _essence(before) != _essence(heartbeat)

    def forget(self, node: str) -> None:
        """Forget a node that was removed."""
        with self._lock:
            self._nodes.pop(node, None)

    def heard(self) -> frozenset[str]:
        """Return the nodes heard since the manager started."""
        with self._lock:
            return frozenset(self._nodes)

    def views(self) -> list[NodeView]:
        """Return each node heard of, for planning."""
        now_s = self._clock()
        with self._lock:
            known = dict(self._nodes)
        return [_view(name, seen, now_s) for name, seen in sorted(known.items())]

    def statuses(self) -> dict[str, NodeStatus]:
        """Return each node heard of, for people."""
        now_s = self._clock()
        with self._lock:
            known = dict(self._nodes)
        return {name: _status(name, seen, now_s) for name, seen in known.items()}

    def operators(self) -> dict[str, list[Operator]]:
        """Return each operation's operators, in their nodes' order."""
        said: dict[str, list[Operator]] = defaultdict(list)
        for view in self.views():
            for report in view.reports:
                said[report.operation].append(Operator(view.name, report))
        return said

    def logs(self, operation: str) -> list[LogEntry]:
        """Return the latest stderr lines of an operation, oldest first."""
        with self._lock:
            return list(self._logs.get(operation, ()))

    def _excuse(self, now_s: float) -> None:
        deaf_s = now_s - self._deaf_since_s if self._deaf_since_s is not None else 0.0
        self._deaf_since_s = None
        with self._lock:
            for name, seen in self._nodes.items():
                self._nodes[name] = replace(seen, at_s=min(seen.at_s + deaf_s, now_s))

    def _keep(self, node: str, heartbeat: Heartbeat | None) -> Heartbeat | None:
        with self._lock:
            before = self._nodes.get(node)
            self._nodes[node] = _Seen(heartbeat, self._clock(), datetime.now(UTC))
            return before.heartbeat if before else None

    def _log(self, node: str, said: LogLines) -> None:
        if said.node != node:
            raise ControlError(f"node {node!r} speaks for {said.node!r}")
        if sum(map(len, said.lines)) > _LOG_CHARACTERS:
            raise ControlError(f"node {node!r} sends too much of stderr at once")
        entry = LogEntry(datetime.fromtimestamp(said.at, UTC), said.node, said.lines, said.dropped)
        with self._lock:
            if said.operation in self._logs or len(self._logs) < _LOGGED_OPERATIONS:
                self._logs[said.operation].append(entry)


def _essence(heartbeat: Heartbeat) -> tuple[object, ...]:
    """What of a heartbeat a plan depends on: counters and load are left out."""
    reports = tuple((r.operation, r.revision, r.state, r.reason) for r in heartbeat.operators)
    head = (heartbeat.incarnation, heartbeat.state, heartbeat.slots, heartbeat.offers)
    return (*head, heartbeat.term, reports)


def _state(seen: _Seen, now_s: float) -> NodeState:
    silent_s = now_s - seen.at_s
    if seen.heartbeat is None:
        return NodeState.OUTDATED
    if silent_s >= control.LOST_S:
        return NodeState.LOST
    if seen.heartbeat.state in {NodeState.DRAINING, NodeState.BOOTING, NodeState.GONE}:
        return NodeState(seen.heartbeat.state)
    return NodeState.LATE if silent_s >= control.LATE_S else NodeState.READY


def _view(name: str, seen: _Seen, now_s: float) -> NodeView:
    said = seen.heartbeat
    view = NodeView(name, _state(seen, now_s), offers=(), silent_s=now_s - seen.at_s)
    if said is None:
        return view
    return replace(
        view,
        offers=said.offers,
        slots=said.slots,
        incarnation=said.incarnation,
        term=said.term,
        reports=said.operators,
        tries=said.tries,
    )


def _status(name: str, seen: _Seen, now_s: float) -> NodeStatus:
    said = seen.heartbeat
    status = NodeStatus(name, _state(seen, now_s), last_seen=seen.at)
    if said is None:
        return status
    return replace(
        status,
        incarnation=said.incarnation,
        slots=said.slots,
        offers=said.offers,
        operations=tuple(sorted({r.operation for r in said.operators})),
        operators=sum(r.state is not OperatorState.STOPPED for r in said.operators),
        started_at=datetime.fromtimestamp(said.started_at, UTC) if said.started_at else None,
        cpu_percent=said.cpu_percent,
        cores=said.cores,
        memory_bytes=said.memory_bytes,
        memory_total_bytes=said.memory_total_bytes,
    )
