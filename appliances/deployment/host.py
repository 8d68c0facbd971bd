"""What is done on a manager's machine, over ssh: settings, services, another version."""

import shlex
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from appliances.deployment import settings
from appliances.errors import BuildError
from appliances.progress import OnLine
from appliances.wheels import Target, Wheels
from provision.errors import ProvisionError
from provision.ssh import CommandError, Shell
from provision.waiting import wait_until
from streams import tls

#: Where the manager finds podman of the computer below, if its machine has a gate.
GATE = "/run/streamboss/podman.sock"
_ETC = "/etc/streamboss"
_TLS = f"{_ETC}/tls"
_HOME = "/var/lib/streamboss"
_SWITCH = "/usr/local/sbin/streamboss-switch"
_STAGE = "/var/lib/streamboss-stage"
_UNIT = "streamboss-manager.service"
_AS_MANAGER = (
    "setpriv --reuid=streamboss --regid=streamboss --clear-groups env -i PATH=/usr/bin:/bin"
)
_FIRST_BOOT_S, _INSTALL_S, _SHORT_S = 300, 900, 60
#: How long a manager may take until it is ready.
READY_S = 120.0
_PROBE_S = 5.0


@dataclass(frozen=True)
class Handed:
    """What a manager is given: its files by path on the machine, with secrets among them."""

    env: Mapping[str, str] = field(repr=False)
    inventory: str
    secrets: str = field(repr=False)
    #: of an S3 server that somebody else runs, in PEM; empty: none of its own
    s3_ca: str = ""

    def files(self) -> dict[str, str]:
        """Return the files' content by path."""
        return {
            f"{settings.INVENTORY}/inventory.yaml": self.inventory,
            f"{_HOME}/.streamboss/secrets": self.secrets,
            f"{_ETC}/env": settings.written(self.env),
            **({settings.S3_CA: self.s3_ca} if self.s3_ca else {}),
        }


def first_settings(shell: Shell) -> dict[str, str]:
    """Return what the first boot made, as soon as it has."""
    made = f"{_ETC}/first-boot.env"
    text = shell.run(
        # root's alone: passwords are in no output but this one
        f"systemctl start streamboss-first-boot.service && cat {made}",
        timeout_s=_FIRST_BOOT_S,
    )
    return settings.parse(text)


def certify(shell: Shell, hosts: Sequence[str]) -> str:
    """Have the machine's certificate name these hosts; return its CA, in PEM."""
    told = f"{_TLS}/hosts"
    text = "".join(f"{host}\n" for host in hosts)
    if shell.run(f"cat {told}", timeout_s=_SHORT_S) != text:
        shell.put_text(text, told, mode=0o644)
    return shell.run(
        f"systemctl start streamboss-certificates.service && cat {_TLS}/ca.pem",
        timeout_s=_FIRST_BOOT_S,
    )


def hand(shell: Shell, handed: Handed) -> bool:
    """Put a manager's files in their place; start it anew if they are others. Say if they were."""
    changed = False
    for path, text in handed.files().items():
        there = shell.run(f"cat {path} 2>/dev/null || true", timeout_s=_SHORT_S)
        if there.strip() == text.strip():
            continue
        changed = True
        shell.put_text(text, path, mode=0o644 if path == settings.S3_CA else 0o600)
    if changed:
        # the files are root's, but what the manager itself reads
        shell.run(
            f"chmod -R a+rX {settings.INVENTORY} && "
            f"install -d --owner=streamboss --mode=700 {_HOME} {_HOME}/.streamboss && "
            f"chown -R streamboss: {_HOME} && "
            f"systemctl restart {_UNIT}",
            timeout_s=_SHORT_S,
        )
    return changed


def own_s3(shell: Shell, *, wanted: bool) -> None:
    """Let the machine's own S3 server run, or not."""
    verb = "enable" if wanted else "disable"
    units = "streamboss-s3.socket streamboss-seaweedfs.service"
    more = "" if wanted else "; systemctl stop streamboss-s3.service"
    shell.run(f"systemctl {verb} --quiet --now {units}{more}", timeout_s=_SHORT_S)


def check_gate(shell: Shell) -> None:
    """See that the manager's user reaches podman of the computer below.

    Raises:
        CommandError: it doesn't; with podman's words.
    """
    shell.run(
        "systemctl start streamboss-gate.socket && cd / && "
        f"{_AS_MANAGER} HOME={_HOME} podman --remote --url unix://{GATE} version >/dev/null",
        timeout_s=_SHORT_S,
    )


def wait_ready(url: str, ca_file: Path, on_line: OnLine, *, timeout_s: float = READY_S) -> None:
    """Wait until the manager at `url` is ready; `on_line` hears what it still waits for.

    `ca_file` holds the only CA that counts.

    Raises:
        WaitTimeoutError: it isn't in time; with what it said last.
    """
    said = ""
    trusted = tls.context(ca_file)

    def ready() -> bool | None:
        nonlocal said
        missing = _missing(url, trusted)
        if missing and missing != said:
            on_line(missing)
        said = missing
        return None if missing else True

    try:
        wait_until(ready, what=f"{url}/readyz", timeout_s=timeout_s, interval_s=0.5)
    except ProvisionError as error:
        raise BuildError(f"{error}: {said}") from error


def last_words(shell: Shell) -> str:
    """Return the last lines of the manager's journal."""
    return shell.run(
        f"journalctl --unit {_UNIT} --lines 15 --output cat 2>&1 || true", timeout_s=_SHORT_S
    ).strip()


def has_version(shell: Shell, wheels: Wheels) -> bool:
    """Say whether the manager runs from these very packages."""
    digest = shell.run("cat /opt/streamboss/wheels 2>/dev/null || true", timeout_s=_SHORT_S)
    return digest.strip() == wheels.digest


def install(shell: Shell, wheels: Wheels) -> str:
    """Install packages beside those that run; return the new environment's folder's name."""
    name = f"streamboss-{wheels.digest[:12]}"
    target = shlex.quote(f"/opt/{name}")
    shell.put(wheels.archive(Target.of(shell)), f"{_STAGE}/wheels.tar", mode=0o600)
    shell.run(
        f"cd {_STAGE} && rm -rf {target} wheels && mkdir wheels && tar -xf wheels.tar -C wheels && "
        f"python3 -m venv {target} && {target}/bin/pip install --quiet --no-index --no-deps "
        "--no-cache-dir --disable-pip-version-check wheels/*.whl && "
        f"echo {wheels.digest} >{target}/wheels && sync -f {target} && rm -rf {_STAGE}",
        timeout_s=_INSTALL_S,
    )
    return name


def switch(shell: Shell, name: str, *, timeout_s: float = READY_S) -> None:
    """Let the manager run from the environment `name`, or from the one before if it doesn't.

    The machine does it by itself, also when we are gone.

    Raises:
        BuildError: the new one didn't get ready; the one before is back. With its last lines.
    """
    source = Path(__file__).parent.parent / "stream-manager" / "streamboss-switch"
    shell.put(source, _SWITCH, mode=0o755)
    try:
        shell.run(
            "systemd-run --quiet --wait --collect --unit=streamboss-switch"
            f" {_SWITCH} {shlex.quote(name)} {timeout_s:.0f}",
            timeout_s=timeout_s + _INSTALL_S,
        )
    except CommandError as error:
        said = shell.run("cat /run/streamboss-switch.said", timeout_s=_SHORT_S).strip()
        raise BuildError(
            f"the new version didn't get ready, so the one before runs again; its last words:\n"
            f"{said or error}"
        ) from error


def _missing(url: str, trusted: ssl.SSLContext) -> str:
    """Say what the manager still waits for; nothing when it is ready."""
    try:
        answer = httpx.get(f"{url}/readyz", timeout=_PROBE_S, trust_env=False, verify=trusted)
        if answer.is_success:
            return ""
        problems = answer.json()["problems"]
        return "; ".join(str(problem) for problem in problems)
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return tls.problem(error) or "it doesn't answer yet"
