"""A role beside a manager, in a process of its own: so neither slows the other down."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from streams.backoff import backoff_s
from streams.errors import StreamsError

log = structlog.get_logger()
_LOOK_S = 1.0
#: One that ran for so long had no trouble starting.
_STEADY_S = 30.0
_END_S = 15.0


class Child:
    """Starts a role when there is something for it to do, and again whenever it ends.

    It lives while the manager does, whose end it knows by the end of its standard input. `module`
    is run; `is_needed` may ask the store.
    """

    def __init__(self, name: str, module: str, is_needed: Callable[[], object]) -> None:
        self.name = name
        self._module, self._is_needed = module, is_needed
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._failures = 0
        self._not_before_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Look after it, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End it; it finishes what it has first."""
        self._stopping.set()
        self._thread.join(_LOOK_S + _END_S)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            if self._process is not None and self._process.poll() is not None:
                self._ended(self._process.returncode)
            if self._process is None and time.monotonic() >= self._not_before_s:
                with suppress(StreamsError):  # the manager says that its store is away
                    if self._is_needed():
                        self._start()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    def _ended(self, status: int) -> None:
        self._process = None
        steady = time.monotonic() - self._started_s > _STEADY_S
        self._failures = 1 if steady else self._failures + 1
        wait_s = backoff_s(self._failures, first_s=1.0)
        self._not_before_s = time.monotonic() + wait_s
        log.warning("a role ended", role=self.name, status=status, again_in_s=round(wait_s, 1))
