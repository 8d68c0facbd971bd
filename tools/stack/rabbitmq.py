"""How a private RabbitMQ node runs as somebody's child: files, command, environment.

Debian's wrapper in /usr/sbin insists on the user `rabbitmq`, and a node without an epmd of its own
leaves one behind on 0.0.0.0:4369; so both are started directly, on ports of their own.
"""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")
_PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_event_exchange",
    "rabbitmq_prometheus",
)
#: No scheduler spins while it waits (idle CPU 2 % -> 0.4 %); distribution stays on loopback.
_ERLANG_ARGUMENTS = (
    "+sbwt none +sbwtdcpu none +sbwtdio none"
    " -kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node, all on 127.0.0.1."""

    amqp: int
    management: int
    distribution: int
    epmd: int
    prometheus: int


@dataclass(frozen=True, slots=True)
class Node:
    """One RabbitMQ node in a folder of its own."""

    folder: Path
    ports: Ports
    user: str
    password: str = field(repr=False)
    name: str = "streamboss@localhost"

    @property
    def amqp_url(self) -> str:
        """The address for clients, with the login.

        The vhost is spelt out: after a bare slash some clients (amqp-tools) look for an empty one.
        """
        return f"amqp://{quote(self.user)}:{quote(self.password)}@127.0.0.1:{self.ports.amqp}/%2F"

    @property
    def api_url(self) -> str:
        """The management API's address, without `/api`."""
        return f"http://127.0.0.1:{self.ports.management}"

    def write_files(self) -> None:
        """Write the node's configuration; data that is there stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log").mkdir(exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text(self._configuration())
        (self.folder / "rabbitmq.conf").chmod(0o600)
        (self.folder / "advanced.config").write_text(
            "[{rabbit, [{consumer_timeout, undefined}]}].\n"
        )
        (self.folder / "enabled_plugins").write_text(f"[{','.join(_PLUGINS)}].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)

    def _configuration(self) -> str:
        return "\n".join(
            (
                f"listeners.tcp.1 = 127.0.0.1:{self.ports.amqp}",
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {self.ports.management}",
                "prometheus.tcp.ip = 127.0.0.1",
                f"prometheus.tcp.port = {self.ports.prometheus}",
                f"default_user = {self.user}",
                f"default_pass = {self.password}",
                "log.console = true",
                "log.file = false",
                "disk_free_limit.absolute = 200MB",
                "",
            )
        )

    def epmd_command(self) -> list[str]:
        """Return the command of the name server that the node needs beside it."""
        return [str(EPMD), "-port", str(self.ports.epmd), "-address", "127.0.0.1"]

    def command(self) -> list[str]:
        """Return the node's command; run it with `environment()` and nothing else."""
        return [str(SERVER)]

    def environment(self) -> dict[str, str]:
        """Return the node's whole environment."""
        here = self.folder
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(here),
            # makes the start script `exec` erl: the child's pid then is the broker's
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "gen"),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_MNESIA_DIR": str(here / "mnesia" / "db"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(here / "plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(here / "feature_flags"),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "ERL_MAX_PORTS": "16384",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
        }
