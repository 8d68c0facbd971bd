"""A process that plans, as the manager's does: what else there is in the played world isn't in it.

It gets what was observed, and answers with the plan, and the seconds that it took of a core.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener

from manager.app import freeze_what_stays
from manager.reconcile.plan import Observed, Plan, plan


class Planner:
    """The other end of such a process; `took_s` has what each plan took."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.took_s: list[float] = []

    def plan(self, seen: Observed) -> Plan:
        """Have a plan made."""
        self._line.send(seen)
        made: Plan
        made, took_s = self._line.recv()
        self.took_s.append(took_s)
        return made


@contextmanager
def planner() -> Iterator[Planner]:
    """Run a planner for the length of a `with` block."""
    with Listener(family="AF_UNIX") as listener:
        process = subprocess.Popen([sys.executable, "-m", __spec__.name, str(listener.address)])
        with process, listener.accept() as line:
            yield Planner(line)


def _serve(line: Connection) -> None:
    freeze_what_stays()
    while True:
        try:
            seen = line.recv()
        except EOFError:
            return
        began_s = time.thread_time()
        made = plan(seen)
        took_s = time.thread_time() - began_s
        line.send((made, took_s))


if __name__ == "__main__":
    with Client(sys.argv[1]) as _line:
        _serve(_line)
