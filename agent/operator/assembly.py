"""One operation's parts put together, its start and its orderly end."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from agent.operator.command import Command, command, environment, folder_problem
from agent.operator.fate import Failure, Fate
from agent.operator.health import Health
from agent.operator.intake import Intake, Item
from agent.operator.launcher import Launcher
from agent.operator.outbox import Outbox
from agent.operator.parts import Parts, Runner
from agent.operator.reaper import Reaper
from agent.operator.report import Reporter
from agent.operator.service import Service, service_prefetch
from agent.operator.single import Single, single_prefetch
from agent.protocol import MARK_VARIABLE, Connect
from streams import names
from streams.broker import EventLoop, LoopConnection
from streams.control import Assigned, OperatorState
from streams.definition import ProcessDefinition, ProcessType

#: How long the broker may take to note the last acknowledgements.
_CLOSE_S = 10.0
#: Ours, and those of a program being started.
_DESCRIPTORS, _DESCRIPTORS_A_PROCESS = 64, 4


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
        self._parts = self._assemble(loop, reaper, connection, say, on_lost)
        self._runner = self._make_runner()
        self._hook()

    def start(self) -> None:
        """Consume as soon as the program can be run; until then say why not, and look again."""
        found = self._look()
        if found.problem is not None:
            self._parts.health.broken(found.problem)
            return
        os.chdir(self._folder)
        self._parts.launcher.words = found.words
        if not self._consuming and not self._draining:
            self._consuming = True
            self._parts.intake.start()
            if self._assigned.definition.process_type is ProcessType.SINGLE:
                self._parts.health.works()
        self._runner.pump()

    def drain(self, drain_s: float) -> None:
        """Take nothing more, finish what was delivered, for so long at most; then stop."""
        if self._draining:
            return
        self._draining = True
        hopeless = self._parts.health.failed
        self._parts.reporter.set(OperatorState.DRAINING)
        self._loop.call_later(0 if hopeless else drain_s, self._close)
        self._parts.intake.stop(self._take_no_more)

    def kill(self) -> None:
        """End the programs at once; nothing is acknowledged any more."""
        self._runner.kill()

    @property
    def _folder(self) -> str:
        return self._assigned.definition.cwd or self._connect.scratch

    def _assemble(
        self,
        loop: EventLoop,
        reaper: Reaper,
        connection: LoopConnection,
        say: Callable[[BaseModel], None],
        on_lost: Callable[[str], None],
    ) -> Parts:
        operation, definition = self._assigned.operation, self._assigned.definition
        outbox = Outbox(loop, connection, operation=operation, stream=self._assigned.output_stream)
        intake = Intake(
            loop,
            connection,
            names.operation_queue(operation),
            tally=outbox.tally,
            wish=prefetch(definition),
        )
        reporter = Reporter(loop, say, self._assigned, outbox.tally, lambda: intake.in_hand)
        intake.reporter = reporter
        outbox.on_homeless = on_lost
        intake.on_gone = on_lost
        fate = Fate(loop, intake, outbox, retries=definition.retries, node=self._connect.node)
        return Parts(
            loop=loop,
            launcher=Launcher(
                loop,
                reaper,
                (),
                self._environment(),
                definition.limits,
                reporter.log,
                self._connect.run_as,
            ),
            definition=definition,
            intake=intake,
            outbox=outbox,
            fate=fate,
            health=Health(loop, reporter),
            reporter=reporter,
            tally=outbox.tally,
        )

    def _environment(self) -> dict[str, str]:
        mark = self._connect.mark
        return environment(
            self._assigned.definition,
            operation=self._assigned.operation,
            stream=self._assigned.input_stream,
            home=self._connect.scratch,
            inherited=os.environ,
            mark={MARK_VARIABLE: mark} if mark else {},
        )

    def _make_runner(self) -> Runner:
        definition = self._assigned.definition
        service = definition.process_type is ProcessType.SERVICE
        concurrency = definition.concurrency or (1 if service else os.cpu_count() or 1)
        _allow_descriptors(concurrency)
        kind = Service if service else Single
        return kind(self._parts, concurrency=concurrency)

    def _hook(self) -> None:
        parts = self._parts
        parts.intake.on_item = self._refused
        parts.intake.on_waiting = self._runner.pump
        parts.intake.on_idle = self._advance
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
        return command(self._assigned.definition, self._parts.launcher.environment["PATH"])

    def _refused(self, item: Item) -> bool:
        reason = self._parts.fate.refuse(item) or self._runner.objection(item)
        if reason is None:
            return False
        self._parts.fate.bury(item, Failure(reason))
        self._runner.skip(item)
        return True

    def _take_no_more(self) -> None:
        self._cancelled = True
        self._advance()

    def _advance(self) -> None:
        """Go on with the drain as far as it can go now."""
        parts = self._parts
        if not self._cancelled or parts.intake.in_hand or not parts.outbox.empty:
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
        self._parts.health.stop()
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


def prefetch(definition: ProcessDefinition) -> int:
    """Return how many inputs to have in hand to begin with."""
    if definition.process_type is ProcessType.SERVICE:
        return service_prefetch(definition)
    return single_prefetch(definition.concurrency)


def _allow_descriptors(concurrency: int) -> None:
    """Raise our limit where so many processes need it; programs inherit it only then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _DESCRIPTORS + _DESCRIPTORS_A_PROCESS * concurrency
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
