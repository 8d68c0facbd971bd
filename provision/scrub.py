"""Leaving nothing on a machine that its image must not have, and looking whether it is so."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from provision import agent
from provision.errors import ProvisionError
from provision.machine import AGENT, APPLIANCE, BASE, HASH, Image, Machine, Role
from provision.site import Site
from provision.ssh import Shell
from provision.user_data import AGENT_FILE, LEASE_FILE

#: What builds keep on a machine: uploads, and in memory, what is never in an image.
STAGE, IN_MEMORY = "/var/lib/streamboss-build", "/run/streamboss-build"
_WANTED = f"{IN_MEMORY}/forbidden"
_SHORT_S, _SCRUB_S, _SEARCH_S = 60, 300, 900
#: For how long a machine whose lease has ended is tried.
_REACHED_S = 30
_KEYS = "authorized_keys"
#: Logs stay, empty, as the files that their owners expect.
_SCRIPT = rf"""
systemctl stop streamboss-agent.service 2>/dev/null
journalctl --rotate --quiet 2>/dev/null
rm -rf {AGENT_FILE} {LEASE_FILE} /etc/streamboss {STAGE} /etc/ssh/ssh_host_* /root/.cache \
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
        ProvisionError: a file still holds one of them; names the file, not the text.
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
        raise ProvisionError(
            f"a secret, or the key of the one who built it, is still in {', '.join(left[:5])}:"
            " it must not be in an image; remove it"
        )
    shell.run(f"rm -f /root/.ssh/{_KEYS} /home/*/.ssh/{_KEYS}", timeout_s=_SCRUB_S)


def save(site: Site, machine: Machine, name: str) -> Image:
    """Save a machine as an appliance's image, without keys and identities; it stays, stopped.

    Raises:
        ProvisionError: the name is taken, the machine can't be reached, or saved.
    """
    site.cloud.images.check_free(name)
    has_agent = _cleaned(site, machine)
    return _saved(site, machine, name, name, {AGENT: "yes" if has_agent else "no"})


def save_ended(
    site: Site, machine: Machine, name: str, appliance: str, *, say: Callable[[str], object]
) -> Image:
    """Save a machine whose lease has ended: clean if it lets us in, else as it is, said aloud.

    Args:
        site: where it is.
        machine: ours.
        name: the image's; free.
        appliance: that the image is of.
        say: hears if it isn't clean.

    Raises:
        ProvisionError: it can't be saved.
    """
    tags = dict[str, str]()
    try:
        has_agent = _cleaned(site, machine, timeout_s=_REACHED_S)
        tags[AGENT] = "yes" if has_agent else "no"
    except ProvisionError as error:
        say(
            f"warning: {machine.id} becomes image {name} as it is, with all keys and passwords"
            f" on its disk: it could not be cleaned: {error}"
        )
    return _saved(site, machine, name, appliance, tags)


def _cleaned(site: Site, machine: Machine, timeout_s: float | None = None) -> bool:
    """Clean a machine; say whether it has a stream agent."""
    with site.shell(machine, timeout_s=timeout_s) as shell:
        has_agent = agent.is_on(shell)
        scrub(shell, [site.key.public.split()[1], *_passwords(shell)])
    return has_agent


def _saved(
    site: Site, machine: Machine, name: str, appliance: str, tags: Mapping[str, str]
) -> Image:
    own = {APPLIANCE: appliance, BASE: machine.image, HASH: secrets.token_hex(6)}
    return site.cloud.save(machine, name, tags={**tags, **own}, role=Role.IMAGE)


def _passwords(shell: Shell) -> list[str]:
    """Return the passwords in the machine's agent.json."""
    text = shell.run(f"cat {AGENT_FILE} 2>/dev/null || true", timeout_s=_SHORT_S)
    try:
        urls = json.loads(text)["amqp_urls"]
    except (ValueError, KeyError, TypeError):
        return []
    return [password for url in urls if (password := urlsplit(url).password)]
