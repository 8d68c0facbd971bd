"""Which cores programs run on."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.path import Contender
from bench.scenario import LeftOutError
from streams.settings import Settings


def two_cores() -> tuple[int, int]:
    """Return two cores that we may run on. Raises LeftOutError: there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        raise LeftOutError("left out: it needs two cores")
    return cores[0], cores[1]


@contextmanager
def pinned(pid: int, core: int) -> Iterator[None]:
    """Keep a process, and what it starts meanwhile, on a core for the length of a block."""
    before = {thread: os.sched_getaffinity(thread) for thread in _threads(pid)}
    try:
        for thread in before:
            _allow(thread, [core])
        yield
    finally:
        for thread in _threads(pid):
            _allow(thread, before.get(thread, before[pid]))


def on_core(contender: Contender, core: int) -> Contender:
    """A contender that stays on a core, with all that it starts."""

    @contextmanager
    def run(settings: Settings, queue: str, exchange: str) -> Iterator[list[int]]:
        with ExitStack() as stack:
            with pinned(os.getpid(), core):
                pids = stack.enter_context(contender(settings, queue, exchange))
            yield list(pids)

    return run


def _threads(pid: int) -> list[int]:
    return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]


def _allow(thread: int, cores: Iterable[int]) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.sched_setaffinity(thread, cores)
