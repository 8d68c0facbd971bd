"""Many agents in one process: each has a line, a user and heartbeats of its own, but no programs.

What they are assigned runs at once, in words: its counters grow. Usage: agents.py FILE, which has
what each one's agent.json would, a line each.
"""

import secrets
import sys
import time
from pathlib import Path

from agent.node.assignments import accepted
from agent.node.config import AgentConfig
from agent.node.link import Link
from streams.broker import EventLoop
from streams.control import (
    HEARTBEAT_S,
    Assignment,
    Counters,
    Heartbeat,
    OperatorReport,
    OperatorState,
    encode,
    heartbeat_key,
)

_RATE = 50
_APART_S = 0.05
_CORES, _MEMORY_BYTES = 4, 8 * 2**30


class Played:
    """An agent that only says that it runs what it is to run."""

    def __init__(self, loop: EventLoop, config: AgentConfig) -> None:
        self._loop, self._config = loop, config
        self._assignment: Assignment | None = None
        self._started_at = time.time()
        self._link = Link(
            loop,
            config,
            on_up=self._announce,
            on_down=lambda: None,
            on_assignment=self._assigned,
        )
        self._tick()

    def open(self) -> None:
        """Connect."""
        self._link.open()

    def _assigned(self, body: bytes) -> None:
        term = self._assignment.term if self._assignment else 0
        told = accepted(body, node=self._config.name, incarnation=self._link.incarnation, term=term)
        self._assignment = told or self._assignment
        self._announce()

    def _tick(self) -> None:
        self._announce()
        self._loop.call_later(HEARTBEAT_S, self._tick)

    def _announce(self) -> None:
        if not self._link.can_send:
            return
        assigned = self._assignment.operations if self._assignment else ()
        beat = Heartbeat(
            node=self._config.name,
            incarnation=self._link.incarnation,
            term=self._assignment.term if self._assignment else 0,
            slots=self._config.slots,
            offers=self._config.offers,
            started_at=self._started_at,
            cpu_percent=float(secrets.randbelow(100)),
            cores=_CORES,
            memory_bytes=secrets.randbelow(_MEMORY_BYTES),
            memory_total_bytes=_MEMORY_BYTES,
            operators=tuple(
                OperatorReport(
                    operation=each.operation,
                    revision=each.revision,
                    state=OperatorState.RUNNING,
                    counters=self._counters(),
                )
                for each in assigned
                if not each.draining
            ),
            tries=True,
        )
        self._link.publish(heartbeat_key(self._config.name), encode(beat))

    def _counters(self) -> Counters:
        done = int((time.time() - self._started_at) * _RATE)
        return Counters(received=done, acknowledged=done, published=done)


def main() -> None:
    """Play them until killed."""
    loop = EventLoop()
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        # one after the other: a process that opens them all at once has no answer in time
        loop.call_later(number * _APART_S, Played(loop, AgentConfig.model_validate_json(line)).open)
    loop.run()


if __name__ == "__main__":
    main()
