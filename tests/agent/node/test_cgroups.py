"""Limits by cgroups: they hold for a program with all its children, and say what happened."""

from pathlib import Path
from typing import Any

import pytest

from agent.node.cgroups import _own_paths, cgroups
from streams import names
from streams.broker.properties import from_properties
from streams.control import OperatorState
from streams.message import Message
from tests.agent.node.playing import Manager, assigned, definition, running_agent
from tests.eventually import eventually

somewhere = pytest.mark.skipif(
    not cgroups("n1", Path("/")).folders, reason="no cgroups can be made here"
)
_MANY = "for n in $(seq 50); do sleep 30 & done 2>&1 | grep -o -m 1 'Cannot fork'"
#: Burns for a second by the clock, and says how much of a core it got.
_BURN = """
import time
began = time.monotonic()
while time.monotonic() < began + 1: pass
print("limited" if time.process_time() < 0.5 else time.process_time())
"""


def dead_letter(manager: Manager) -> Message:
    """Wait for the operation's one dead letter."""

    def found() -> Message | None:
        method, properties, body = manager.session.call(
            lambda channel: channel.basic_get(names.dead_queue("op"), auto_ack=True)
        )
        if method is None or properties is None or body is None:
            return None
        return from_properties(properties, body)

    letter = eventually(found, within_s=40, what="a dead letter")
    assert letter is not None
    return letter


def cgroups_of(folder: Path) -> list[Path]:
    """Return what there is of an agent's cgroups."""
    made = cgroups("n1", folder / "scratch").folders.values()
    return [each for parent in made for each in parent.glob("*-*")]


@somewhere
@pytest.mark.parametrize("sandbox", ["none", "strict"])
def test_limits_hold_for_a_program_with_its_children(
    manager: Manager, tmp_path: Path, sandbox: str
) -> None:
    takes = "python3 -c 'x = bytearray(300_000_000)'"
    program = f"read x; case $x in memory) {takes}; exit $?;; few) echo $x;; esac"
    limits = {"memory_bytes": 100_000_000, "processes": 20, "cpus": 0.2}
    fields: dict[str, Any] = {"limits": limits, "sandbox": sandbox, "retries": 0}
    with running_agent(tmp_path, manager.node_url) as agent:
        manager.heard()
        # Given a program that may use little
        manager.assign(assigned(definition=definition(program, **fields)))
        manager.until(OperatorState.RUNNING)
        # When it wants more memory, then the kernel ends it, and the dead letter says so
        manager.publish("memory", "few")
        reason = str(dead_letter(manager).headers["x-streamboss-reason"])
        assert "out of memory (limits: memory_bytes)" in reason
        assert manager.outputs(1) == ["few"]
        # When it wants more processes, or CPU
        for revision, line in ((2, _MANY), (3, f"python3 -c '{_BURN}'")):
            line_ = definition(line, **fields)
            manager.assign(assigned(definition=line_, revision=revision))
            manager.until(OperatorState.RUNNING, revision=revision)
            manager.publish("x")
            assert manager.outputs(1) == ["Cannot fork" if revision == 2 else "limited"]
        # Then nothing is left of it, and nothing at all when the agent has gone
        eventually(lambda: not cgroups_of(tmp_path), what="no cgroup of a program is left")
        agent.signal()
        assert agent.process.wait(30) == 0
    folders = cgroups("n1", tmp_path / "scratch").folders.values()
    assert not any(folder.exists() for folder in folders)


def test_ones_own_cgroup_is_found_with_either_version() -> None:
    assert _own_paths("0::/system.slice/streamboss-agent.service\n") == {
        "": "/system.slice/streamboss-agent.service"
    }
    assert _own_paths("8:pids:/\n4:memory:/x:y\n2:cpu,cpuacct:/z\n0::/u\n") == {
        "pids": "/",
        "memory": "/x:y",
        "cpu": "/z",
        "cpuacct": "/z",
        "": "/u",
    }
