"""Waiting for the parts: each has a probe, a deadline, and words for what it waits for."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from streams.broker import Session
from streams.management import Management
from streams.settings import Settings
from tools.stack.errors import PortTakenError, StackError
from tools.stack.parts import Part
from tools.stack.ports import LOOPBACK, is_free
from tools.stack.progress import Progress
from tools.stack.state import State
from tools.stack.supervisor import RUNNING, STARTING, Supervisor

READY_S = 90.0
_LOOK_S = 0.1
_PROBE_S = 5.0
_LAST_WORDS = 300

#: Says what is missing; empty when ready.
Probe = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Waits for the parts of one stack."""

    supervisor: Supervisor
    folder: Path
    progress: Progress

    def until_ready(self, part: Part, probe: Probe, within_s: float = READY_S) -> None:
        """Wait until a part serves.

        Raises:
            PortTakenError: it can't start because somebody else listens on its port.
            StackError: it doesn't within the time; with the end of its log.
        """
        if not probe():
            self.progress.note(f"{part.name}: ready")
            return
        deadline = time.monotonic() + within_s
        with self.progress.step(f"{part.name}: starting", f"{part.name}: ready") as detail:
            while missing := probe():
                detail(missing)
                _check_ports(part, self.supervisor)
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{part.name}: not ready after {within_s:.0f} s ({missing});"
                        f" {_last_words(self.folder, part.name)}"
                    )
                time.sleep(_LOOK_S)


def _check_ports(part: Part, supervisor: Supervisor) -> None:
    process = supervisor.processes()[part.name]
    if process.state in {RUNNING, STARTING}:
        return
    if not all(is_free(port) for port in part.ports):
        raise PortTakenError(part.name)


def _last_words(folder: Path, part: str) -> str:
    log = folder / "logs" / f"{part}.log"
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"its last words: {lines[-1][-_LAST_WORDS:]!r}; all in {log}" if lines else f"see {log}"


def missing(part: str, state: State, folder: Path) -> str:
    """Say what a part still lacks; empty when it serves."""
    if part == "epmd":
        return "" if _listens(state.broker_ports.epmd) else "not listening yet"
    if part == "broker":
        return _broker_missing(state, folder)
    if part == "s3":
        return "" if state.storage.node(folder).serves() else "booting"
    return _manager_missing(state) if part == "manager" else ""


def _broker_missing(state: State, folder: Path) -> str:
    node = state.broker(folder)
    with Management(node.api_url, user=node.user, password=node.password) as management:
        alive = management.alive()
    return "" if alive and _listens(node.ports.amqp) else "booting"


def _manager_missing(state: State) -> str:
    try:
        answer = httpx.get(f"{state.manager_url}/readyz", timeout=_PROBE_S, trust_env=False)
    except httpx.HTTPError:
        return "not answering yet"
    return "" if answer.is_success else _detail(answer)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:_LAST_WORDS]
    except (ValueError, KeyError, TypeError):
        return f"answers {answer.status_code}"


def check_borrowed(settings: Settings) -> None:
    """See that somebody else's broker lets us in.

    Raises:
        BrokerError: it doesn't.
    """
    with Session(settings.need_amqp(), name="streamboss up") as session:
        _ = session.channel


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
