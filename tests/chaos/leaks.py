"""What is left of a chain that isn't there any more: nothing, soon."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.chaos.rig import NODES, Rig

_WITHIN_S, _LOOK_S = 30.0, 0.2
#: What is there while nothing is to do.
_QUEUES = Counter(agents=len(NODES), managers=1)
#: More open files than a manager or an agent has that has nothing to do.
_FILES = 100


def leaks(rig: Rig, prefix: str) -> list[str]:
    """Return what is left after a while, in words."""
    looks: dict[str, Callable[[], list[str]]] = {
        "queues": lambda: _queues(rig),
        "exchanges": lambda: [name for name in rig.exchanges() if prefix in name],
        "connections": lambda: _connections(rig),
        "processes": lambda: _processes(rig),
        "files": lambda: _files(rig),
    }
    found = []
    for what, look in looks.items():
        deadline_s = time.monotonic() + _WITHIN_S
        while (left := look()) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        found += [f"{what} are left: {', '.join(left)}"] if left else []
    return found


def _queues(rig: Rig) -> list[str]:
    there = list(rig.queues())
    more = Counter(name.partition(".")[0] for name in there) - _QUEUES
    return [name for name in there if name.partition(".")[0] in more]


def _connections(rig: Rig) -> list[str]:
    """Each client has one connection of each name, as many as there are agents of an operator's."""
    return [f"{count} of {name!r}" for name, count in rig.connections().items() if count > 1]


def _processes(rig: Rig) -> list[str]:
    """An agent at rest keeps one operator as a spare, and no program."""
    operators = len(rig.deployment.all_operators())
    return [f"{operators} operators"] if operators > len(NODES) else []


def _files(rig: Rig) -> list[str]:
    counts = {s.pid: len(list(Path(f"/proc/{s.pid}/fd").iterdir())) for s in rig.services()}
    found = [f"{count} open in {pid}" for pid, count in counts.items() if count > _FILES]
    for agent in rig.deployment.agents.values():
        folders = list((agent.folder / "scratch" / "operators").iterdir())
        found += [str(folder) for folder in folders[1:]]
    return found
