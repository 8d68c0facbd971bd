"""By which host keys machines are known."""

from pathlib import Path

import pytest

from provision import known_hosts
from provision.known_hosts import HostKeyError, KnownHosts

CONSOLE = """\
[   12.0] cloud-init[97]: Cloud-init v. 22.4.2 running 'modules:final'\r
<14>Nov 25 10:04:15 ec2: 256 SHA256:lVLLrnz1m9XyYYIKjc9xEKX12EVp52ogO1KtSNrO+X8 root@a (ED25519)\r
-----BEGIN SSH HOST KEY KEYS-----\r
ecdsa-sha2-nistp256 AAAAE2Vj/+Zg= root@a\r
ssh-ed25519 AAAAC3Nz root@a\r
-----END SSH HOST KEY KEYS-----\r
ssh-rsa AAAAB3 somebody@elses
"""


def test_the_console_shows_host_keys_between_its_marks() -> None:
    assert known_hosts.on_console(CONSOLE) == {
        "ecdsa-sha2-nistp256 AAAAE2Vj/+Zg=",
        "ssh-ed25519 AAAAC3Nz",
    }


def test_half_a_console_shows_none_yet() -> None:
    assert not known_hosts.on_console(CONSOLE[:250])
    assert not known_hosts.on_console("")


def test_the_first_contact_decides_where_the_console_is_silent(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.check("i-1", "ssh-ed25519 AAAA")
    known.check("i-1", "ssh-ed25519 AAAA")
    known.check("i-2", "ssh-ed25519 BBBB")
    with pytest.raises(HostKeyError, match="i-1: its ssh host key isn't the one it had"):
        known.check("i-1", "ssh-ed25519 BBBB")
    assert known.path.read_text() == "i-1 ssh-ed25519 AAAA\ni-2 ssh-ed25519 BBBB\n"
    assert known.path.stat().st_mode & 0o777 == 0o600


def test_the_console_decides_where_it_speaks(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember("i-1", known_hosts.on_console(CONSOLE))
    known.remember("i-1", known_hosts.on_console(CONSOLE))
    known.check("i-1", "ssh-ed25519 AAAAC3Nz")
    with pytest.raises(HostKeyError):
        known.check("i-1", "ssh-ed25519 AAAAC3Nx")
    assert len(known.path.read_text().splitlines()) == 2
