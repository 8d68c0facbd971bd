"""The stream agent of a machine: whether there is one, and telling it by ssh who it is."""

from collections.abc import Mapping

from provision.capabilities import Capability
from provision.ssh import Shell
from provision.user_data import told_by_ssh

#: Every image with a stream agent has this unit.
UNIT = "streamboss-agent.service"
_SHORT_S = 60


def is_on(shell: Shell) -> bool:
    """Say whether a machine has a stream agent that starts by itself."""
    said = shell.run(f"systemctl is-enabled {UNIT} 2>/dev/null || true", timeout_s=_SHORT_S)
    return said.strip() == "enabled"


def tell(can: frozenset[Capability], shell: Shell, files: Mapping[str, str]) -> None:
    """Give a machine its files by ssh, if cloud-init didn't, and start its agent."""
    if told_by_ssh(can):
        for path, text in files.items():
            shell.put_text(text, path, mode=0o600)
        shell.run(f"systemctl start --no-block {UNIT} || true", timeout_s=_SHORT_S)
