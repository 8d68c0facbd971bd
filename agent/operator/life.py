"""One operation's start, its way, and its orderly end."""

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from agent.operator.assembly import assemble, make_runner
from agent.operator.command import Command, command, folder_problem
from agent.operator.fate import Failure
from agent.operator.health import Health
from agent.operator.intake import Item
from agent.operator.objections import Objections
from agent.operator.reaper import Reaper
from agent.protocol import Connect
from streams.access import ObjectStore
from streams.broker import EventLoop, LoopConnection
from streams.control import Assigned, OperatorState
from streams.definition import ProcessType

#: How long the broker may take to note the last acknowledgements.
_CLOSE_S = 10.0
#: What an upload that was begun may take to be undone.
_TIDY_S = 2.0


class Operator:
    """Runs one operation from `start` to `drain`; `on_stopped` is called at the end of a drain."""

    def __init__(
        self,
        loop: EventLoop,
        reaper: Reaper,
        connection: LoopConnection,
        connect: Connect,
        assigned: Assigned,
        *,
        say: Callable[[BaseModel], None],
        on_stopped: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._connect = connect
        self._assigned = assigned
        self._on_stopped = on_stopped
        self._on_lost = on_lost
        self._consuming = self._draining = self._cancelled = False
        self._finishing = self._finished = self._closing = False
        self._parts = assemble(
            loop, reaper, connection, connect, assigned, say=say, on_lost=on_lost
        )
        self._runner = make_runner(self._parts)
        self._objections = Objections(assigned.definition)
        self._hook()

    def start(self) -> None:
        """Consume as soon as the program can be run; until then say why not, and look again."""
        found = self._look()
        if found.problem is not None:
            self._parts.health.broken(found.problem)
            return
        if not self._consuming and not self._draining:
            self._consuming = True
            self._parts.intake.start()
            if self._assigned.definition.process_type is ProcessType.SINGLE:
                self._parts.health.works()
        self._runner.pump()

    def reach(self, objects: ObjectStore) -> None:
        """Reach S3 like this from now on."""
        parts = self._parts
        parts.transfers.reach(objects.access)
        parts.storage.use(objects)
        parts.fetching.store = objects
        for health in (parts.fetching.health, parts.storage.health):
            health.hasten()

    def drain(self, drain_s: float) -> None:
        """Take nothing more, finish what was delivered, for so long at most; then stop."""
        if self._draining:
            return
        self._draining = True
        stuck = any(health.failed for health in self._healths) and not self._runner.busy
        hopeless = self._parts.health.failed or stuck
        self._parts.reporter.set(OperatorState.DRAINING)
        self._loop.call_later(0 if hopeless else drain_s, self._close)
        self._parts.intake.stop(self._take_no_more)

    def kill(self) -> None:
        """End the programs at once; nothing is acknowledged any more."""
        self._runner.kill()

    def tidy_up(self) -> None:
        """Wait a moment until nothing of what was being stored is left in S3."""
        self._parts.transfers.close(within_s=_TIDY_S)

    @property
    def _healths(self) -> tuple[Health, ...]:
        parts = self._parts
        return parts.health, parts.fetching.health, parts.storage.health

    @property
    def _folder(self) -> str:
        return self._assigned.definition.cwd or self._connect.scratch

    def _hook(self) -> None:
        parts = self._parts
        parts.intake.on_item = self._refused
        parts.intake.on_waiting = self._runner.pump
        parts.intake.on_idle = self._advance
        parts.intake.on_reference = parts.fetching.add
        parts.intake.on_reference_done = parts.fetching.release
        parts.fetching.objection = self._objections.to_content
        parts.fetching.on_buried = self._runner.skip
        parts.outbox.on_room = self._runner.pump
        parts.outbox.on_empty = self._advance
        parts.health.on_try = self.start

    def _look(self) -> Command:
        if self._assigned.definition.cwd is None:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
        problem = folder_problem(self._folder)
        if problem is not None:
            return Command((), problem)
        # a relative program is meant from the folder that it will run in
        os.chdir(self._folder)
        found = command(self._assigned.definition, self._parts.launcher.environment["PATH"])
        if found.problem is not None:
            return found
        self._parts.launcher.words = found.words
        return Command(found.words, self._parts.launcher.problem())

    def _refused(self, item: Item) -> bool:
        parts = self._parts
        reason = parts.fate.refuse(item) or parts.fetching.read(item) or self._objections.to(item)
        if reason is None:
            return False
        parts.fate.bury(item, Failure(reason))
        self._runner.skip(item)
        return True

    def _take_no_more(self) -> None:
        self._cancelled = True
        self._advance()

    def _advance(self) -> None:
        """Go on with the drain as far as it can go now."""
        parts = self._parts
        busy = parts.intake.in_hand or not parts.outbox.empty or not self._runner.empty
        if not self._cancelled or busy:
            return
        if not self._finishing:
            self._finishing = True
            self._runner.finish(self._programs_ended)
        elif self._finished:
            self._close()

    def _programs_ended(self) -> None:
        self._finished = True
        self._advance()

    def _close(self) -> None:
        """Leave in good order: what isn't acknowledged goes back to the queue."""
        if self._closing:
            return
        self._closing = True
        for health in self._healths:
            health.stop()
        self._runner.kill()
        self._parts.intake.flush()
        self._loop.call_later(_CLOSE_S, lambda: self._on_lost("the broker doesn't answer"))
        self._connection.flush(
            self._parts.intake.queue, lambda: self._connection.close(self._stopped)
        )

    def _stopped(self) -> None:
        self._parts.reporter.set(OperatorState.STOPPED)
        self._parts.reporter.stop()
        self._on_stopped()
