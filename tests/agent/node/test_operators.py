"""Operators under an agent, as the manager sees them: real operators, programs and broker."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from streams import names
from streams.access import ObjectStore
from streams.control import Assigned, OperatorState
from streams.objects import Objects
from tests.agent.node.playing import (
    Manager,
    RunningAgent,
    assigned,
    definition,
    running_agent,
)
from tests.eventually import eventually
from tests.processes import is_operator
from tests.rabbit import BrokerNode
from tests.s3 import S3Server

RUNNING = OperatorState.RUNNING
#: Hangs until there is a file `done`, and has left a daemon behind in a session of its own.
_HANGS = "setsid -f sleep 61 </dev/null >/dev/null 2>&1; test -e done || sleep 60; tr a-z A-Z"
both_ways = pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "marks"])


def programs(agent: RunningAgent, word: str) -> set[int]:
    """Return the processes below the agent whose command line has `word`."""
    found = set()
    for pid, _ in agent.family():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in command.split(b"\0"):
            found.add(pid)
    return found


@both_ways
def test_what_is_assigned_runs_in_the_spare_and_what_is_not_any_more_drains(
    manager: Manager, tmp_path: Path, namespaces: bool
) -> None:
    with running_agent(tmp_path, manager.node_url, namespaces=namespaces) as agent:
        # Given an agent with one operator process that waits, connected
        manager.heard()
        [spare] = eventually(agent.operators)
        eventually(lambda: _connections(manager) == 2, what="agent and spare are connected")
        # When an operation is assigned, that one runs it, and another waits in its place
        manager.assign(assigned())
        report = manager.until(RUNNING)
        assert report.pid == spare
        assert report.started_at is not None
        manager.publish("one", "two")
        assert manager.outputs(2) == ["ONE", "TWO"]
        eventually(lambda: len(agent.operators()) == 2, what="a new spare")
        # And when it isn't wanted any more it goes
        manager.assign(term=2)
        manager.until_gone()
        eventually(lambda: spare not in agent.operators())
        assert manager.heartbeats[-1].term == 2


def test_an_assignment_that_drains_lets_the_program_finish(
    manager: Manager, tmp_path: Path
) -> None:
    slow = definition("sh -c 'echo begun >> log; sleep 1; tr a-z A-Z'", cwd=str(tmp_path))
    with running_agent(tmp_path, manager.node_url):
        manager.heard()
        manager.assign(assigned(definition=slow))
        manager.until(RUNNING)
        manager.publish("work")
        eventually((tmp_path / "log").exists, what="the program runs")
        manager.assign(assigned(definition=slow, draining=True))
        manager.until_gone()
        assert manager.outputs(1) == ["WORK"]
        assert any(
            report.state is OperatorState.DRAINING
            for heartbeat in manager.heartbeats
            for report in heartbeat.operators
        )


def test_a_new_revision_starts_when_the_old_one_has_gone(manager: Manager, tmp_path: Path) -> None:
    with running_agent(tmp_path, manager.node_url):
        manager.heard()
        manager.assign(assigned())
        manager.until(RUNNING)
        manager.publish("one")
        assert manager.outputs(1) == ["ONE"]
        manager.assign(assigned(revision=2, definition=definition("rev")))
        manager.until(RUNNING, revision=2)
        manager.publish("two")
        assert manager.outputs(1) == ["owt"]
        assert all(len(heartbeat.operators) <= 1 for heartbeat in manager.heartbeats)


def test_several_operations_and_instances_run_side_by_side(
    manager: Manager, tmp_path: Path
) -> None:
    others = [f"op{number}" for number in range(6)]
    for name in others:
        manager.create_operation(name, f"{name}-in", f"{name}-out")
    manager.allow({"op": "b", **{name: f"{name}-out" for name in others}})
    wanted: list[Assigned] = [
        assigned(name, input_stream=f"{name}-in", output_stream=f"{name}-out") for name in others
    ]
    with running_agent(tmp_path, manager.node_url):
        manager.heard()
        manager.assign(assigned(instances=2), *wanted)

        def all_run() -> bool:
            manager.hear()
            reports = manager.heartbeats[-1].operators
            return len(reports) == 8 and all(report.state is RUNNING for report in reports)

        eventually(all_run, within_s=40)
        pids = {report.pid for report in manager.heartbeats[-1].operators}
        assert len(pids) == 8


def hanging(folder: Path) -> Assigned:
    return assigned(definition=definition(f"sh -c '{_HANGS}'", cwd=str(folder)))


def hang(manager: Manager, agent: RunningAgent, folder: Path) -> set[int]:
    """Let the agent run a program that hangs on a message; return the program's processes."""
    manager.heard()
    manager.assign(hanging(folder), term=3)
    manager.until(RUNNING)
    manager.publish("work")
    eventually(lambda: programs(agent, "60") and programs(agent, "61"), what="the program hangs")
    return programs(agent, "60") | programs(agent, "61")


@both_ways
def test_a_killed_operator_takes_its_program_along_and_another_goes_on(
    manager: Manager, tmp_path: Path, namespaces: bool
) -> None:
    with running_agent(tmp_path, manager.node_url, namespaces=namespaces) as agent:
        program = hang(manager, agent, tmp_path)
        first = manager.until(RUNNING)
        assert first.pid is not None
        (tmp_path / "done").touch()
        os.kill(first.pid, signal.SIGKILL)
        # the message in hand goes to the next operator
        assert manager.outputs(1) == ["WORK"]
        eventually(lambda: not program & {pid for pid, _ in agent.survivors()})
        eventually(lambda: _restarts(manager) == 1, what="the restart is counted")
        assert manager.until(RUNNING).pid != first.pid
        assert "ended by SIGKILL" in agent.text()


@both_ways
def test_a_killed_agent_leaves_nothing_and_a_new_one_takes_over(
    manager: Manager, tmp_path: Path, namespaces: bool
) -> None:
    with running_agent(tmp_path, manager.node_url, namespaces=namespaces) as agent:
        hang(manager, agent, tmp_path)
        before = manager.heartbeats[-1].incarnation
        agent.kill()
        eventually(lambda: not agent.survivors(), what="nothing is left")
    (tmp_path / "done").touch()
    with running_agent(tmp_path, manager.node_url, namespaces=namespaces):
        eventually(lambda: manager.hear() and manager.heartbeats[-1].incarnation != before)
        manager.assign(hanging(tmp_path), term=3)
        manager.until(RUNNING)
        assert manager.outputs(1) == ["WORK"]


def test_without_namespaces_the_next_agent_ends_what_was_left(
    manager: Manager, tmp_path: Path
) -> None:
    with running_agent(tmp_path, manager.node_url, namespaces=False) as agent:
        program = hang(manager, agent, tmp_path)
        # When agent and operators are killed together, nobody is there to end the programs
        for pid in agent.operators():
            os.kill(pid, signal.SIGSTOP)
        agent.kill()
        for pid, _ in agent.survivors():
            if is_operator(pid):
                os.kill(pid, signal.SIGKILL)
        assert program <= {pid for pid, _ in agent.survivors()}
        # Then the next agent does
        with running_agent(tmp_path, manager.node_url, namespaces=False):
            eventually(lambda: not agent.survivors(), what="nothing is left")


def test_sigterm_drains_and_a_message_in_hand_is_finished(manager: Manager, tmp_path: Path) -> None:
    slow = definition("sh -c 'echo begun >> log; sleep 1; tr a-z A-Z'", cwd=str(tmp_path))
    with running_agent(tmp_path, manager.node_url) as agent:
        manager.heard()
        manager.assign(assigned(definition=slow))
        manager.until(RUNNING)
        manager.publish("work")
        eventually((tmp_path / "log").exists, what="the program runs")
        agent.signal(signal.SIGTERM)
        assert agent.process.wait(30) == 0
        assert manager.outputs(1) == ["WORK"]
        eventually(lambda: manager.hear() and manager.heartbeats[-1].state == "gone")
        assert "draining" in {heartbeat.state for heartbeat in manager.heartbeats}
        assert not agent.survivors()


@both_ways
def test_a_second_signal_ends_at_once(manager: Manager, tmp_path: Path, namespaces: bool) -> None:
    stuck = definition("sleep 60")
    with running_agent(tmp_path, manager.node_url, namespaces=namespaces) as agent:
        manager.heard()
        manager.assign(assigned(definition=stuck, drain_s=60.0))
        manager.until(RUNNING)
        manager.publish("work")
        eventually(lambda: programs(agent, "60"), what="the program runs")
        agent.signal(signal.SIGTERM)
        eventually(lambda: manager.hear() and manager.heartbeats[-1].state == "draining")
        agent.signal(signal.SIGINT)
        assert agent.process.wait(20) == 130
        eventually(lambda: not agent.survivors(), what="nothing is left")


def test_what_a_program_writes_to_stderr_reaches_the_manager(
    manager: Manager, tmp_path: Path
) -> None:
    with running_agent(tmp_path, manager.node_url):
        manager.heard()
        manager.assign(assigned(definition=definition("sh -c 'echo oh dear >&2; cat'")))
        manager.until(RUNNING)
        manager.publish("one")

        def logged() -> bool:
            manager.hear()
            return any("oh dear" in line for piece in manager.logs for line in piece.lines)

        eventually(logged)
        assert {(piece.node, piece.operation) for piece in manager.logs} == {("n1", "op")}


def test_a_broker_that_restarts_finds_everything_running_again_without_a_manager(
    manager: Manager, broker_node: BrokerNode, tmp_path: Path
) -> None:
    with running_agent(tmp_path, manager.node_url) as agent:
        program = hang(manager, agent, tmp_path)
        broker_node.note_queues()
        incarnation = manager.heartbeats[-1].incarnation
        broker_node.kill()
        eventually(lambda: not program & {pid for pid, _ in agent.survivors()})
        (tmp_path / "done").touch()
        broker_node.start()
        # nobody assigns anything again
        manager.heartbeats.clear()
        manager.until(RUNNING)
        # what was said to the lost line may be lost with it: another line is another incarnation
        assert manager.heartbeats[-1].incarnation != incarnation
        assert manager.heartbeats[-1].term == 3
        assert manager.outputs(1) == ["WORK"]


def _restarts(manager: Manager) -> int:
    manager.hear()
    return sum(report.counters.restarts for report in manager.heartbeats[-1].operators)


def _connections(manager: Manager) -> int:
    """Return how many connections the node's user has."""
    with manager.management() as management:
        connections = management._get("/connections?columns=user")
    return sum(connection["user"] == manager.user for connection in connections)


def test_new_keys_of_s3_reach_an_operator_that_runs(
    manager: Manager, tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    s3_access = s3_server.access
    reference = Objects(s3_access).put(bucket, "key", b"content")
    with running_agent(tmp_path, manager.node_url):
        # Given an operator whose keys are no good any more
        manager.heard()
        old = replace(s3_access, secret_access_key="another")
        manager.assign(assigned(objects=ObjectStore(old)))
        before = manager.until(RUNNING).pid
        manager.session.publish(names.exchange("a"), reference.message())
        assert "refuses the login" in manager.until(OperatorState.FAILED).reason
        # When an assignment brings others, of a server that speaks TLS, with its CA
        secure = s3_server.by_tls
        ca = Path(secure.ca_file or "").read_text()
        manager.assign(assigned(objects=ObjectStore(replace(secure, ca_file=None), ca=ca)))
        # Then the same process goes on with them
        assert manager.outputs(1) == ["CONTENT"]
        assert manager.until(RUNNING).pid == before
