"""What a stack looks like just now."""

from dataclasses import dataclass
from pathlib import Path

from tools.stack import readiness
from tools.stack.parts import Part, parts_of
from tools.stack.state import State, stack_folder
from tools.stack.supervisor import RUNNING, STARTING, PartProcess, Supervisor

_STOPPED = frozenset({"STOPPED", "STOPPING"})


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as it is now."""

    name: str
    #: running, starting, failing or stopped
    state: str
    pid: int | None
    #: when it started, seconds since 1970; None while it doesn't run
    since: float | None
    #: where it listens, without passwords
    address: str
    #: what is wrong with it; empty when nothing is
    problem: str


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The stack as it is now."""

    #: its `.streamboss`
    folder: Path
    #: whether its supervisor runs; each part has a state of its own
    running: bool
    parts: tuple[PartStatus, ...] = ()
    manager_url: str = ""
    #: the broker that somebody else runs, if the stack uses one; without passwords
    borrowed_broker: str = ""
    #: likewise the S3 server
    borrowed_s3: str = ""

    @property
    def problems(self) -> list[str]:
        """What is wrong, a line each; empty when all is well, or nothing is meant to run."""
        return [f"{part.name}: {part.problem}" for part in self.parts if part.problem]


def status(folder: Path) -> StackStatus:
    """Look at the stack of `folder`, without touching it.

    Raises:
        StackError: its state can't be read.
    """
    place = stack_folder(folder)
    state = State.load(place)
    if state is None:
        return StackStatus(place, running=False)
    supervisor = Supervisor(place, state.socket)
    running = supervisor.identity() is not None
    processes = supervisor.processes() if running else {}
    return StackStatus(
        place,
        running=running,
        parts=tuple(
            _part(each, processes.get(each.name), state, place, running=running)
            for each in parts_of(state, place)
        ),
        manager_url=state.manager_url,
        borrowed_broker=state.borrowed.shown() if state.borrowed else "",
        borrowed_s3=state.storage.endpoint_url if state.storage.borrowed else "",
    )


def describe(status: StackStatus) -> str:
    """Return the status for a person."""
    if not status.running:
        return f"nothing runs in {status.folder}: 'streamboss up' starts it"
    lines = [f"Streamboss runs in {status.folder}"]
    for name, address in (("broker", status.borrowed_broker), ("s3", status.borrowed_s3)):
        if address:
            lines.append(f"  {name:8} {'yours':9} {address}")
    for part in status.parts:
        trouble = f" ({part.problem})" if part.problem else ""
        lines.append(f"  {part.name:8} {part.state:9} {part.address}{trouble}".rstrip())
    return "\n".join(lines)


def next_commands(status: StackStatus) -> str:
    """Return what to type after `up`."""
    return "\n".join(
        (
            "next:",
            f"  . {status.folder / 'env'}        # user and password, for curl",
            "  streamboss create-stream mystream",
            "  streamboss status",
            "  streamboss down                 # ends it all; the data stay",
        )
    )


def _part(
    part: Part, process: PartProcess | None, state: State, place: Path, *, running: bool
) -> PartStatus:
    address = _address(part, state)
    if process is None:  # an earlier version, which had no such part, brought the others up
        problem = "is new: 'streamboss up' starts it" if running else ""
        return PartStatus(part.name, "stopped", None, None, "", problem)
    if process.state in {RUNNING, STARTING}:
        missing = readiness.missing(part.name, state, place)
        word = "starting" if missing else "running"
        return PartStatus(part.name, word, process.pid, process.since, address, missing)
    problem = process.problem or "does not run: 'streamboss up' repairs it"
    word = "stopped" if process.state in _STOPPED else "failing"
    return PartStatus(part.name, word, None, None, address, problem)


def _address(part: Part, state: State) -> str:
    if part.name == "broker":
        return f"amqp://127.0.0.1:{state.broker_ports.amqp}"
    if part.name == "s3":
        return state.storage.endpoint_url
    if part.name == "manager":
        return state.manager_url
    return f"127.0.0.1:{part.ports[0]}" if part.ports else ""
