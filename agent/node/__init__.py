"""The node agent: a machine's part in Streamboss, `streamboss agent --config agent.json`."""

import os
import pwd
import resource
import time
from pathlib import Path

from agent.node.agent import NodeAgent
from agent.node.cgroups import cgroups
from agent.node.config import AgentConfig
from agent.node.isolation import Isolation, end_marked, isolation
from agent.node.pool import Ground
from agent.node.scratch import Scratch
from streams import logs, tls
from streams.errors import SettingsError

__all__ = ["run"]

#: Descriptors that an operator process costs us, and what we need ourselves.
_FDS_EACH, _FDS_OWN = 4, 128
_SWEEPS, _SWEEP_S = 50, 0.1


def run(config_path: Path, *, run_as: str | None = None, namespaces: bool | None = None) -> int:
    """Be this machine's agent until SIGTERM; return the exit status. The main thread's work.

    `run_as` is the user who runs programs, None for our own; only root can take another.
    `namespaces` says whether operators get a pid namespace of their own; by default whatever the
    kernel allows.

    Raises:
        SettingsError: the file, the CA or the scratch folder that it names, or the user won't do.
    """
    logs.to_stderr()
    config = AgentConfig.load(config_path)
    _check_user(run_as)
    scratch = Scratch(config.scratch, config.name, owner=run_as)
    try:
        config = _with_ca(config, scratch)
        ways = isolation(config.name, scratch.folder, namespaces=namespaces)
        _end_leftovers(ways)
        _allow_descriptors(config.slots)
        limits = cgroups(config.name, scratch.folder)
        status = NodeAgent(Ground(config, scratch, ways, limits, run_as)).serve()
        _end_leftovers(ways)
        limits.close()
    finally:
        scratch.close()
    return status


def _with_ca(config: AgentConfig, scratch: Scratch) -> AgentConfig:
    """Let the addresses name the CA that the configuration holds."""
    if config.ca is None:
        return config
    ca_file = scratch.keep("ca.pem", config.ca)
    tls.context(ca_file)
    urls = tuple(tls.with_ca(url, ca_file) for url in config.amqp_urls)
    return config.model_copy(update={"amqp_urls": urls})


def _check_user(name: str | None) -> None:
    if name is None:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise SettingsError(f"--run-as {name}: there is no such user") from None
    if os.geteuid() != 0:
        raise SettingsError(f"--run-as {name}: only root may run programs as somebody else")


def _end_leftovers(ways: Isolation) -> None:
    """End what carries our mark: an agent that was killed left it, or we did just now."""
    if ways.family is not None:
        for _ in range(_SWEEPS):
            if not end_marked(ways.family):
                break
            time.sleep(_SWEEP_S)


def _allow_descriptors(slots: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FDS_OWN + _FDS_EACH * slots
    if resource.RLIM_INFINITY not in {soft, hard} and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
