"""Faults done to a rig, and undone."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.chaos.rig import NODES, Rig
from tests.chaos.schedule import Fault
from tests.processes import sigkill

Undo = Callable[[], None]


def begin(rig: Rig, fault: Fault, operations: list[str]) -> Undo:
    """Let it go wrong; return what ends it."""
    if fault.deed == "cut":
        wire = rig.wires[_line(fault)]
        wire.cut(fault.way, fault.for_s)
        return wire.mend
    if fault.deed == "stop":
        victims = _victims(rig, fault, operations)
        _signal(victims, signal.SIGSTOP)
        return lambda: _signal(victims, signal.SIGCONT)
    return _kill(rig, fault, operations)


def _kill(rig: Rig, fault: Fault, operations: list[str]) -> Undo:
    match fault.victim:
        case "broker":
            rig.node.kill()
            return rig.node.launch
        case "database":
            rig.database.kill()
            return rig.database.launch
        case "s3":
            rig.s3.kill()
            return rig.s3.launch
        case "manager":
            rig.deployment.manager.kill_alone()
            return rig.deployment.manager.start
        case "agent":
            agent = rig.deployment.agents[_node(fault)]
            agent.kill()
            return agent.start
    sigkill(*_victims(rig, fault, operations))
    return lambda: None


def _victims(rig: Rig, fault: Fault, operations: list[str]) -> set[int]:
    deployment = rig.deployment
    match fault.victim:
        case "program":
            return deployment.programs(operations[fault.pick % len(operations)])
        case "operator":
            found = sorted(deployment.all_operators())
            return {found[fault.pick % len(found)]} if found else set()
        case "archiver":
            return {pid for pid, _ in deployment.manager.family()}
        case "database":
            return rig.database.pids
    processes = {
        "manager": deployment.manager.process,
        "s3": rig.s3.process,
        "broker": rig.node.process,
        "agent": deployment.agents[_node(fault)].process,
    }
    process = processes[fault.victim]
    return {process.pid} if process is not None else set()


def _line(fault: Fault) -> str:
    return f"agent_{_node(fault)}" if fault.victim == "agent" else fault.victim


def _node(fault: Fault) -> str:
    return NODES[fault.pick % len(NODES)]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
