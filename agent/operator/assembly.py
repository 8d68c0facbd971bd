"""One operation's parts put together."""

import os
import resource
from collections.abc import Callable

from pydantic import BaseModel

from agent.operator.command import environment
from agent.operator.fate import Fate
from agent.operator.fetching import Fetching
from agent.operator.health import Condition, Health
from agent.operator.intake import Intake
from agent.operator.launcher import Launcher
from agent.operator.outbox import Outbox
from agent.operator.parts import Parts, Runner
from agent.operator.reaper import Reaper
from agent.operator.report import Reporter
from agent.operator.sandbox import sandbox_of
from agent.operator.service import Service, service_prefetch
from agent.operator.single import Single, single_prefetch
from agent.operator.storage import Storage
from agent.operator.transfers import Transfers
from agent.protocol import MARK_VARIABLE, Connect
from streams import names
from streams.broker import EventLoop, LoopConnection
from streams.control import Assigned
from streams.definition import Order, ProcessDefinition, ProcessType

#: Ours, with spools and connections to S3; and those of a program being started.
_DESCRIPTORS, _DESCRIPTORS_A_PROCESS = 192, 4


def assemble(
    loop: EventLoop,
    reaper: Reaper,
    connection: LoopConnection,
    connect: Connect,
    assigned: Assigned,
    *,
    say: Callable[[BaseModel], None],
    on_lost: Callable[[str], None],
) -> Parts:
    """Return the parts, which know what they need of one another, but do nothing yet."""
    operation, definition = assigned.operation, assigned.definition
    outbox = Outbox(loop, connection, operation=operation, stream=assigned.output_stream)
    intake = Intake(
        loop,
        connection,
        names.operation_queue(operation),
        tally=outbox.tally,
        wish=prefetch(definition),
        fifo=definition.order is Order.FIFO,
    )
    reporter = Reporter(loop, say, assigned, outbox.tally, lambda: intake.in_hand)
    intake.reporter = reporter
    outbox.on_homeless = on_lost
    intake.on_gone = on_lost
    condition = Condition(reporter)
    transfers = Transfers(loop, assigned.objects.access)
    fate = Fate(loop, intake, outbox, retries=definition.retries, node=connect.node)
    return Parts(
        loop=loop,
        launcher=Launcher(
            loop,
            reaper,
            (),
            _environment(connect, assigned),
            definition.limits,
            reporter.log,
            connect.run_as,
            sandbox_of(definition, connect.scratch),
            connect.cgroups,
        ),
        definition=definition,
        intake=intake,
        outbox=outbox,
        fate=fate,
        health=Health(loop, condition),
        reporter=reporter,
        tally=outbox.tally,
        transfers=transfers,
        fetching=Fetching(
            intake,
            transfers,
            fate,
            Health(loop, condition),
            store=assigned.objects,
            folder=connect.scratch,
            programs=concurrency(definition),
        ),
        storage=Storage(transfers, assigned.objects, Health(loop, condition), operation),
    )


def make_runner(parts: Parts) -> Runner:
    """Return what runs the definition's kind of program, with the descriptors that it needs."""
    at_once = concurrency(parts.definition)
    _allow_descriptors(at_once)
    kind = Service if parts.definition.process_type is ProcessType.SERVICE else Single
    return kind(parts, concurrency=at_once)


def concurrency(definition: ProcessDefinition) -> int:
    """Return how many processes there are at once."""
    if definition.process_type is ProcessType.SERVICE:
        return definition.concurrency or 1
    return definition.concurrency or os.cpu_count() or 1


def prefetch(definition: ProcessDefinition) -> int:
    """Return how many inputs to have in hand to begin with."""
    if definition.process_type is ProcessType.SERVICE:
        return service_prefetch(definition)
    return single_prefetch(definition.concurrency)


def _environment(connect: Connect, assigned: Assigned) -> dict[str, str]:
    return environment(
        assigned.definition,
        operation=assigned.operation,
        stream=assigned.input_stream,
        home=connect.scratch,
        inherited=os.environ,
        mark={MARK_VARIABLE: connect.mark} if connect.mark else {},
    )


def _allow_descriptors(concurrency: int) -> None:
    """Raise our limit where so many processes need it; programs inherit it only then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _DESCRIPTORS + _DESCRIPTORS_A_PROCESS * concurrency
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
