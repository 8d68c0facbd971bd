"""Whether a program has done all that it was given: it waits for more, and nothing else moves.

Nobody knows which output line answers which input, so the question is put to the kernel: what is
each thread of the program, and of the programs it started, doing?
"""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, IntEnum

from agent.operator.sandbox import programs

_X86 = {
    "read": (0, 19, 275),  # read, readv, splice
    "child": (61, 247),  # wait4, waitid
    "futex": (202, 449),
    "poll": (7, 23, 232, 270, 271, 281, 441),  # poll, select, epoll_wait, pselect6, ppoll, ...
}
_ARM = {
    "read": (63, 65, 76),
    "child": (260, 95),
    "futex": (98, 449),
    "poll": (22, 72, 73, 441),
}
_NUMBERS = {"x86_64": _X86, "aarch64": _ARM}.get(platform.machine())
_MOST_PROCESSES = 500
#: A process that its parent hasn't waited for: it does nothing any more.
_ZOMBIE = "-1 0x0 0x0"


class Activity(Enum):
    """What one thread is doing."""

    READS = "reads fd 0"
    WAITS = "waits for a child"
    IDLE = "sleeps in a futex"
    POLLS = "waits for any of several descriptors"
    BLOCKED = "is blocked in something else"
    RUNS = "runs"


class Stillness(IntEnum):
    """How sure it is that nothing more comes; the smaller, the less."""

    WORKING = 0
    QUIET = 1
    """Settled if it stays so for `settle_s`."""
    WAITING = 2
    """Settled."""


def _table() -> dict[int, Activity]:
    kinds = {"child": Activity.WAITS, "futex": Activity.IDLE, "poll": Activity.POLLS}
    numbers = _NUMBERS or {}
    return {n: kind for name, kind in kinds.items() for n in numbers.get(name, ())}


_ACTIVITIES = _table()
_READS = frozenset((_NUMBERS or {}).get("read", ()))


def activity(line: str) -> Activity:
    """Return what a thread does, from its `/proc/.../syscall`. Pure."""
    words = line.split(maxsplit=2)
    if line.strip() == _ZOMBIE:
        return Activity.POLLS
    if not words or not words[0].isdigit():
        return Activity.RUNS
    if _NUMBERS is None:
        return Activity.POLLS  # a machine whose numbers we don't know: the time rule decides
    number = int(words[0])
    if number in _READS:
        return Activity.READS if int(words[1], 16) == 0 else Activity.BLOCKED
    return _ACTIVITIES.get(number, Activity.BLOCKED)


def stillness(threads: Sequence[Activity]) -> Stillness:
    """Judge one process by what its threads do. Pure."""
    kinds = set(threads)
    if Activity.RUNS in kinds or not kinds:
        return Stillness.WORKING
    if kinds & {Activity.READS, Activity.WAITS}:
        others = kinds - {Activity.READS, Activity.WAITS, Activity.IDLE}
        return Stillness.QUIET if others else Stillness.WAITING
    if Activity.POLLS in kinds and kinds <= {Activity.POLLS, Activity.IDLE}:
        return Stillness.QUIET
    return Stillness.WORKING


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at all processes of a group showed; equal marks: nobody ran in between."""

    stillness: Stillness
    marks: tuple[str, ...]


def look(roots: Iterable[int]) -> Look:
    """Look once at these processes and all that they started."""
    marks: list[str] = []
    still = Stillness.WAITING
    waiting = list(roots)
    seen = 0
    while waiting:
        seen += 1
        if seen > _MOST_PROCESSES:
            return Look(Stillness.WORKING, ())
        try:
            still = min(still, _process(waiting.pop(), marks, waiting))
        except OSError:
            return Look(Stillness.WORKING, ())  # vanished under our eyes
        if still is Stillness.WORKING:
            return Look(still, ())
    return Look(still, tuple(marks))


def _process(pid: int, marks: list[str], found: list[int]) -> Stillness:
    threads = []
    known = len(found)
    for tid in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - half the cost of pathlib's
        folder = f"/proc/{pid}/task/{tid}/"
        marks.append(f"{tid} {_read(folder + 'schedstat')}")
        found += map(int, _read(folder + "children").split())
        threads.append(_activity_of(folder))
    if Activity.WAITS in threads and len(found) == known:
        # whoever waits has children: the list leaves some out while one of them ends (proc(5))
        return Stillness.WORKING
    return stillness(threads)


def _activity_of(folder: str) -> Activity:
    try:
        return activity(_read(folder + "syscall"))
    except PermissionError:
        return Activity.POLLS  # another user's: the time rule decides


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65_536).decode(errors="replace")
    finally:
        os.close(fd)


class Settling:
    """Asks the question of one program again and again, with the time rule's memory."""

    def __init__(
        self,
        pid: int,
        *,
        settle_s: float,
        strays: Callable[[], Iterable[int]],
        sandboxed: bool = False,
    ) -> None:
        self._pid = pid
        self._sandboxed = sandboxed
        self._settle_s = settle_s
        self._strays = strays
        self._marks: tuple[str, ...] = ()
        self._since = 0.0
        #: since when nothing has moved, as far as the last question showed
        self.quiet_since = 0.0

    def settled(self, now: float, *, half: bool = False) -> bool:
        """Say whether all is done; with `half` a frame (an unfinished line) only in time."""
        shown = self._look()
        if shown.stillness is Stillness.WORKING:
            self._marks = ()
            return False
        if shown.stillness is Stillness.WAITING and not half:
            self.quiet_since = now
            return True
        return self._long_enough(shown, now)

    def _look(self) -> Look:
        """Look; where several threads could hand work to one another, twice."""
        roots = programs(self._pid) if self._sandboxed else [self._pid]
        if not roots:
            return Look(Stillness.WORKING, ())  # the sandbox isn't built yet
        shown = look(roots)
        if shown.stillness is Stillness.WORKING:
            return shown
        group = [*roots, *self._group()]
        if len(group) > len(roots):
            shown = look(group)
        if len(shown.marks) > 1 and look(group) != shown:
            return Look(Stillness.WORKING, ())
        return shown

    def _long_enough(self, shown: Look, now: float) -> bool:
        if shown.marks != self._marks:
            self._marks, self._since = shown.marks, now
        self.quiet_since = self._since
        return now - self._since >= self._settle_s

    def _group(self) -> list[int]:
        """Return those of the group that became our children when their parents ended."""
        group = []
        for pid in self._strays():
            with suppress(ProcessLookupError):
                if os.getpgid(pid) == self._pid:
                    group.append(pid)
        return group
