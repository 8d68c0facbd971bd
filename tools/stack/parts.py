"""The parts of a stack, and the files that describe them to the supervisor. Decides, runs nothing.

Each part is a small script in `.streamboss/run/`, so any folder name will do (the supervisor's own
configuration cuts and expands `%`, `;` and `#`), and a part can be started by hand to see why it
fails.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.stack.ports import LOOPBACK
from tools.stack.state import State
from tools.stack.supervisor import CONFIGURATION_FILE, PID_FILE

SETPRIV = "/usr/bin/setpriv"
AGENT_FILE = "agent.json"
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One process that the supervisor keeps running."""

    name: str
    script: str
    ports: tuple[int, ...] = ()
    #: started before, and stopped after, those with higher numbers
    priority: int = 0
    #: one that lived shorter counts as failed to start: it is tried again with a growing pause
    settled_s: int = 5
    stop_signal: str = "TERM"
    #: how long it may take to stop before it is killed
    stop_s: int = 10
    autostart: bool = True


def parts_of(state: State, folder: Path) -> list[Part]:
    """Return the stack's parts; with somebody else's broker, none of our own."""
    manager = Part(
        "manager",
        _script(_python("manager", "--host", LOOPBACK, "--port", str(state.manager_port))),
        ports=(state.manager_port,),
        priority=30,
        stop_s=15,
    )
    agent = Part(
        "agent",
        _script(_python("agent", "--config", str(folder / AGENT_FILE))),
        priority=40,
        stop_s=30,
        autostart=False,  # its file is made through the manager, so `up` starts it
    )
    broker = [] if state.borrowed else _broker_parts(state, folder)
    storage = [] if state.storage.borrowed else [_storage_part(state, folder)]
    return [*broker, *storage, manager, agent]


def files_of(state: State, folder: Path, user: str) -> dict[Path, tuple[str, int]]:
    """Return what `up` writes, by path: text and mode."""
    parts = parts_of(state, folder)
    settings = "".join(
        f"{name}={shlex.quote(value)}\n" for name, value in state.environment(folder).items()
    )
    return {
        folder / "env": (f"# Written by 'streamboss up'. Holds passwords.\n{settings}", 0o600),
        folder / CONFIGURATION_FILE: (
            configuration(parts, _socket_option(state, folder), user),
            0o600,
        ),
        **{folder / "run" / part.name: (part.script, 0o700) for part in parts},
    }


def _broker_parts(state: State, folder: Path) -> list[Part]:
    node = state.broker(folder)
    ports = state.broker_ports
    environment = [f"{name}={value}" for name, value in node.environment().items()]
    return [
        Part(
            "epmd",
            _script(["env", "-i", "PATH=/usr/bin", *node.epmd_command()]),
            ports=(ports.epmd,),
            priority=10,
            stop_signal="KILL",
        ),
        Part(
            "broker",
            _script(["env", "-i", *environment, *node.command()]),
            ports=(ports.amqp, ports.management, ports.distribution, ports.prometheus),
            priority=20,
            settled_s=15,
            stop_s=15,
        ),
    ]


def _storage_part(state: State, folder: Path) -> Part:
    node = state.storage.node(folder)
    environment = [f"{name}={value}" for name, value in node.environment().items()]
    return Part(
        "s3",
        _script(["env", "-i", "-C", str(node.folder), *environment, *node.command()]),
        ports=tuple(asdict(node.ports).values()),
        priority=20,
        stop_s=3,  # it takes 15 s; what was acknowledged is stored
    )


def _python(*arguments: str) -> list[str]:
    # -P: a folder called `tools` where we happen to stand must not be taken for ours.
    # In a virtual environment always the same of its names, so that a second `up` changes nothing.
    in_venv = sys.prefix != sys.base_prefix
    return [
        f"{sys.prefix}/bin/python" if in_venv else sys.executable,
        "-P",
        "-m",
        "tools.main",
        *arguments,
    ]


def _script(command: Sequence[str]) -> str:
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def _socket_option(state: State, folder: Path) -> str:
    # relative where it can be: see above
    return state.socket.removeprefix(f"{folder}/")


def configuration(parts: Sequence[Part], socket: str, user: str) -> str:
    """Return the supervisor's configuration; its paths are relative to the stack's folder."""
    head = _section(
        "supervisord",
        user=user,
        umask="077",
        logfile="logs/supervisord.log",
        logfile_maxbytes=_LOG_BYTES,
        logfile_backups=_LOG_BACKUPS,
        pidfile=PID_FILE,
        childlogdir="logs",
    )
    control = _section("unix_http_server", file=socket, chmod="0700")
    rpc = _section(
        "rpcinterface:supervisor",
        **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
    )
    return "\n".join([head, control, rpc, *(_program(part) for part in parts)])


def _program(part: Part) -> str:
    return _section(
        f"program:{part.name}",
        # dies with the supervisor, however that ends: nothing is left behind, nothing runs twice
        command=f"{SETPRIV} --pdeathsig KILL run/{part.name}",
        priority=part.priority,
        autostart=str(part.autostart).lower(),
        autorestart="true",
        startsecs=part.settled_s,
        startretries=1_000_000_000,
        stopsignal=part.stop_signal,
        stopwaitsecs=part.stop_s,
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"logs/{part.name}.log",
        stdout_logfile_maxbytes=_LOG_BYTES,
        stdout_logfile_backups=_LOG_BACKUPS,
    )


def _section(name: str, **options: object) -> str:
    lines = [f"{option} = {value}" for option, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])
