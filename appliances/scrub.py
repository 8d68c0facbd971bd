"""Leaving nothing on a machine that its image must not have, and looking whether it is so."""

from collections.abc import Iterable

from appliances.errors import BuildError
from appliances.installing import VARIABLES
from appliances.steps import STAGE
from appliances.user_data import AGENT_FILE, LEASE_FILE
from provision.ssh import Shell

_WANTED = f"{VARIABLES}.forbidden"
_SCRUB_S, _SEARCH_S = 300, 900
_KEYS = "authorized_keys"
#: Logs stay, empty, as the files that their owners expect.
_SCRIPT = rf"""
systemctl stop streamboss-agent.service 2>/dev/null
journalctl --rotate --quiet 2>/dev/null
rm -rf {AGENT_FILE} {LEASE_FILE} /etc/streamboss/env {STAGE} /etc/ssh/ssh_host_* /root/.cache \
    /root/.*_history /home/*/.*_history /var/lib/systemd/random-seed /var/log/journal/* \
    /var/lib/dbus/machine-id
find /tmp /var/tmp -xdev -mindepth 1 -delete
if command -v cloud-init >/dev/null; then
    cloud-init clean --logs || exit 1
else # it makes host keys at the first boot; without it, this does
    printf '[Unit]\nBefore=ssh.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -A
[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/ssh-host-keys.service
    systemctl enable --quiet ssh-host-keys.service || exit 1
fi
find /var/log -type f -exec truncate --size=0 {{}} +
: >/etc/machine-id
"""


def scrub(shell: Shell, forbidden: Iterable[str]) -> None:
    """Remove identities, histories and logs; look for `forbidden` texts; remove the keys, too.

    Nobody can log in to the machine again, unless it fails.

    Raises:
        BuildError: a file still holds one of them; names the file, not the text.
        CommandError: something could not be removed.
    """
    texts = sorted({line for text in forbidden for line in text.splitlines() if line.strip()})
    shell.run(_SCRIPT, timeout_s=_SCRUB_S)
    shell.put_text("".join(f"{text}\n" for text in texts), _WANTED, mode=0o600)
    # -xdev: /run is in memory, and user data on some clouds a disk of its own
    found = shell.run(
        f"find / -xdev -type f -not -name {_KEYS} -print0 | xargs -0 grep -lF -f {_WANTED} || true",
        timeout_s=_SEARCH_S,
    )
    left = [line for line in found.split("\n") if line.startswith("/")]
    if left:
        raise BuildError(
            f"a secret, or the key of the one who built it, is still in {', '.join(left[:5])}:"
            " it must not be in an image; remove it"
        )
    shell.run(f"rm -f /root/.ssh/{_KEYS} /home/*/.ssh/{_KEYS}", timeout_s=_SCRUB_S)
