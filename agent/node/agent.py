"""The node agent: one loop over the broker, the operators' pipes, signals and timers."""

import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial

from agent.node.assignments import accepted, asked_trial, seen_here
from agent.node.link import Link
from agent.node.load import Load, memory_bytes
from agent.node.logs import LogBook
from agent.node.operators import Operators
from agent.node.pool import Ground
from streams.broker import EventLoop, Signals
from streams.control import (
    HEARTBEAT_S,
    Assigned,
    Heartbeat,
    LogLines,
    TrialTold,
    encode,
    heartbeat_key,
    log_key,
    trial_key,
)
from streams.errors import ControlError

log = logging.getLogger(__name__)

#: Changes that come together leave in one heartbeat; two aren't closer than this.
GATHER_S = 0.1
#: Pieces of stderr leave at this interval (and so at a bounded rate).
LOG_S = 0.25
#: What the last words may take at the end.
FLUSH_S = 2.0
INTERRUPTED = 130


class NodeAgent:
    """Announces the node, runs what it is assigned, reports how that goes."""

    def __init__(self, ground: Ground) -> None:
        self._config, self._scratch = ground.config, ground.scratch
        self._loop = EventLoop()
        self._operators = Operators(
            self._loop, ground, on_change=self._changed, on_log=self._noted, on_told=self._told
        )
        self._link = Link(
            self._loop,
            ground.config,
            on_up=self._came_up,
            on_down=self._went_down,
            on_assignment=self._assigned,
        )
        self._logs = LogBook()
        self._load = Load()
        self._cpu_percent: float | None = None
        self._started_at = time.time()
        self._term = 0
        self._last_refusal = ""
        self._state = "ready"
        self._stops = 0
        self._announced_at = 0.0
        self._announcing = self._sending_logs = False

    def serve(self) -> int:
        """Work until a signal; return the exit status."""
        stop, reap = self._stop, self._operators.reap
        on_signal = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGCHLD: reap}
        with Signals(self._loop, on_signal):
            self._link.open()
            self._tick()
            self._loop.run_until(lambda: self._stops > 1 or self._drained())
            if self._stops > 1:
                self._operators.kill()
            self._wait(lambda: self._operators.gone)
            self._operators.kill()
            self._wait(lambda: self._operators.gone)
            self._say_goodbye()
        self._loop.close()
        log.info("gone")
        return INTERRUPTED if self._stops > 1 else 0

    def _drained(self) -> bool:
        return self._stops > 0 and self._operators.empty

    def _say_goodbye(self) -> None:
        self._state = "gone"
        self._send_logs()
        self._announce()
        self._wait(lambda: self._link.flushed)
        closed: list[bool] = []
        self._link.close(lambda: closed.append(True))
        self._wait(lambda: bool(closed))

    def _wait(self, done: Callable[[], bool]) -> None:
        """Serve until `done`, for a bounded time."""
        deadline = time.monotonic() + FLUSH_S
        timer = self._loop.call_later(FLUSH_S, lambda: None)
        self._loop.run_until(lambda: done() or time.monotonic() >= deadline)
        self._loop.cancel(timer)

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            log.info("draining; a second signal ends at once")
            self._state = "draining"
            self._operators.drain()
            self._announce()

    def _came_up(self) -> None:
        self._announce()
        self._operators.connected(is_up=True)
        self._keep_sending_logs()

    def _went_down(self) -> None:
        # what runs goes on as last assigned; an operator that lost its connection, too, ends itself
        self._operators.connected(is_up=False)

    def _assigned(self, body: bytes) -> None:
        try:
            if (asked := asked_trial(body, node=self._config.name)) is not None:
                self._operators.try_out(asked)
                return
            assignment = accepted(
                body,
                node=self._config.name,
                incarnation=self._link.incarnation,
                term=self._term,
            )
        except ControlError as error:
            if str(error) != self._last_refusal:  # it is said again and again
                self._last_refusal = str(error)
                log.warning("%s", error)
            return
        if assignment is not None:
            if assignment.term != self._term:
                self._term = assignment.term
                self._changed()
            self._operators.want([self._seen_here(each) for each in assignment.operations])

    def _seen_here(self, assigned: Assigned) -> Assigned:
        keep = partial(self._scratch.keep, "s3-ca.pem")
        return seen_here(assigned, self._config.services_host, keep)

    def _tick(self) -> None:
        self._cpu_percent = self._load.cpu_percent()
        self._announce()
        self._loop.call_later(HEARTBEAT_S, self._tick)

    def _changed(self) -> None:
        if not self._announcing:
            self._announcing = True
            since = time.monotonic() - self._announced_at
            self._loop.call_later(max(0.0, GATHER_S - since), self._announce)

    def _announce(self) -> None:
        self._announcing = False
        if not self._link.can_send:
            return
        self._announced_at = time.monotonic()
        used, total = memory_bytes()
        heartbeat = Heartbeat(
            node=self._config.name,
            incarnation=self._link.incarnation,
            term=self._term,
            slots=self._config.slots,
            offers=self._config.offers,
            state=self._state,
            started_at=self._started_at,
            cpu_percent=self._cpu_percent,
            cores=os.cpu_count(),
            memory_bytes=used,
            memory_total_bytes=total,
            operators=self._operators.reports(),
            tries=True,
        )
        self._link.publish(heartbeat_key(self._config.name), encode(heartbeat))

    def _told(self, told: TrialTold) -> None:
        if self._link.can_send:  # who asked waits for a bounded time
            self._link.publish(trial_key(self._config.name), encode(told))

    def _noted(self, operation: str, lines: tuple[str, ...], dropped: int) -> None:
        self._logs.add(operation, lines, dropped)
        self._keep_sending_logs()

    def _keep_sending_logs(self) -> None:
        if self._logs and self._link.up and not self._sending_logs:
            self._sending_logs = True
            self._loop.call_later(LOG_S, self._send_logs)

    def _send_logs(self) -> None:
        self._sending_logs = False
        for piece in self._logs.take() if self._link.can_send else ():
            said = LogLines(
                node=self._config.name,
                operation=piece.operation,
                at=time.time(),
                lines=piece.lines,
                dropped=piece.dropped,
            )
            self._link.publish(log_key(self._config.name), encode(said))
        self._keep_sending_logs()
