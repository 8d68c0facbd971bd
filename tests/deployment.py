"""A manager and agents as a supervisor runs them: processes of their own, killed and restarted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from manager import certificates
from manager.client import ManagerClient
from streams import tls
from streams.settings import Settings, vhost_of
from tests.eventually import eventually
from tests.processes import descendants, environment_of, is_operator, started_at
from tests.rabbit import BrokerNode
from tools.stack.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
ADMIN = ("boss", "the boss's secret")
_END_S = 20
#: An archiver stores what it has before it follows its manager: 10 s, on a quiet machine.
_SURVIVORS_S = 40


class Service:
    """`streamboss <command>` in the foreground, started again whenever the test says so."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *command: str,
        module: str = "tools.main",
    ) -> None:
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
        self._command = [sys.executable, "-P", "-m", module, *command]
        self._below: set[tuple[int, str]] = set()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's pid."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        """Everything it printed."""
        return self.folder / "log"

    def start(self) -> None:
        """Start it; again after `kill`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                env={**self.environment, "HOME": str(self.folder)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def family(self) -> set[tuple[int, str]]:
        """Return pid and start time of each process below it, and remember them."""
        found = descendants(self.pid)
        self._below |= found
        return found

    def end(self) -> None:
        """SIGTERM: it finishes what it has."""
        assert self.process is not None
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL; what was below it is gone when this returns."""
        if self.process is not None:
            self.family()
            self.kill_alone()
            eventually(
                lambda: not self._survivors(),
                within_s=_SURVIVORS_S,
                what="nothing outlives what started it",
            )

    def kill_alone(self) -> None:
        """SIGKILL; what was below it ends in its own time."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_END_S)
            self.process = None

    def _survivors(self) -> set[tuple[int, str]]:
        return {(pid, started) for pid, started in self._below if started_at(pid) == started}


class Deployment:
    """A manager and its agents on a vhost; everything is looked at from outside only."""

    def __init__(
        self, settings: Settings, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is what the manager gets beside, or instead."""
        (port,) = free_ports(1)
        self.folder = folder
        scheme = "https" if settings.ca_file else "http"
        self.settings = replace(
            settings, manager_url=f"{scheme}://127.0.0.1:{port}", user=ADMIN[0], password=ADMIN[1]
        )
        own = {
            "STREAMBOSS_AMQP_URL": ",".join(settings.need_amqp()),
            "STREAMBOSS_BROKER_API_URL": settings.need_broker_api(),
            "STREAMBOSS_DATABASE_URL": f"sqlite:///{folder}/manager.db",
            "STREAMBOSS_USER": ADMIN[0],
            "STREAMBOSS_PASSWORD": ADMIN[1],
        }
        serving = ["manager", "--port", str(port)]
        if settings.ca_file:  # the broker's certificate is this machine's
            own[tls.CA_VARIABLE] = str(settings.ca_file)
            beside = settings.ca_file.parent
            serving += ["--certificate", str(beside / certificates.CERTIFICATE)]
            serving += ["--key", str(beside / certificates.KEY)]
        self.manager = Service(folder / "manager", {**own, **(environment or {})}, *serving)
        self.agents: dict[str, Service] = {}
        self.client = ManagerClient(self.settings)

    @property
    def vhost(self) -> str:
        """The virtual host that everything is on."""
        return vhost_of(self.settings.need_amqp()[0])

    def start_manager(self) -> None:
        """Start the manager and wait until it can do its work."""
        self.manager.start()
        eventually(self.is_ready, within_s=120, what="the manager is ready")

    def add_agent(
        self,
        name: str = "n1",
        *,
        clock_ahead_s: int | None = None,
        way: Callable[[str], str] = str,
        **options: Any,
    ) -> Service:
        """Add a node and start its agent; its clock may be wrong.

        It reaches each of the broker's addresses by `way`.
        """
        folder = self.folder / name
        folder.mkdir()
        config = folder / "agent.json"
        made = self.client.add_node(name, **options)
        urls = [way(url) for url in made["amqp_urls"]]
        config.write_text(
            json.dumps({**made, "amqp_urls": urls, "scratch": str(folder / "scratch")})
        )
        config.chmod(0o600)
        words = ["agent", "--config", str(config)]
        module = "tools.main"
        if clock_ahead_s is not None:
            words, module = [str(clock_ahead_s), *words], "tests.shifted"
        self.agents[name] = Service(folder, {}, *words, module=module)
        self.agents[name].start()
        return self.agents[name]

    def operation(
        self, name: str, source: str, target: str, definition: Mapping[str, Any], **options: Any
    ) -> None:
        """Make an operation that runs a program between two streams."""
        whole = {"name": name, "application": "test", **definition}
        number = self.client.register({"definition": whole})
        assert self.client.create_operation(name, number, source, target, **options)

    def state(self, operation: str) -> str:
        """Return an operation's state, as the manager tells it."""
        return str(self.client.get("operations", operation)["state"])

    def until(self, state: str, *operations: str, within_s: float = 30) -> None:
        """Wait until each operation is in that state."""
        eventually(
            lambda: all(self.state(operation) == state for operation in operations),
            within_s=within_s,
            what=f"{' and '.join(operations)}: {state}",
        )

    def programs(self, operation: str) -> set[int]:
        """Return the living processes of an operation's programs, on all agents."""
        mark = f"STREAMBOSS_OPERATION={operation}".encode()
        return {pid for pid in self._below_agents() if mark in environment_of(pid)}

    def operators(self, operation: str) -> set[int]:
        """Return the operator processes that run an operation's programs."""
        programs = self.programs(operation)
        return {
            pid
            for pid in self._below_agents()
            if is_operator(pid) and programs & {child for child, _ in descendants(pid)}
        }

    def all_operators(self) -> set[int]:
        """Return all operator processes, on all agents, those without an operation included."""
        return {pid for pid in self._below_agents() if is_operator(pid)}

    def _below_agents(self) -> set[int]:
        running = [agent for agent in self.agents.values() if agent.process is not None]
        return {pid for agent in running for pid, _ in agent.family()}

    def stop(self) -> None:
        """End everything, whatever state it is in."""
        self.client.close()
        for service in (*self.agents.values(), self.manager):
            service.kill()

    def show(self) -> None:
        """Print what everybody logged, for a test that failed."""
        for service in (self.manager, *self.agents.values()):
            if service.log.exists():
                text = service.log.read_text(errors="replace")
                sys.stderr.write(f"--- {service.log}\n{text[-20_000:]}\n")

    def is_ready(self) -> bool:
        """Say whether the manager can do its work."""
        with suppress(httpx.HTTPError):
            url = f"{self.settings.need_manager()}/readyz"
            trusted = tls.context_for(url, self.settings.ca_file)
            return httpx.get(url, trust_env=False, timeout=10, verify=trusted).is_success
        return False


@contextmanager
def deployed(
    node: BrokerNode, folder: Path, *, secure: bool = False, **options: Any
) -> Iterator[Deployment]:
    """Run a manager and one agent on a fresh vhost for the length of a `with` block.

    `secure`: everybody speaks TLS, and trusts the CA of the node alone. `options` are the agent's.
    """
    with node.vhost() as settings:
        deployment = Deployment(node.by_tls(settings) if secure else settings, folder)
        try:
            deployment.start_manager()
            deployment.add_agent(**options)
            yield deployment
        except BaseException:
            deployment.show()
            sys.stderr.write(f"--- broker\n{node.log()}\n")
            raise
        finally:
            deployment.stop()
