"""Machines of the local cloud: separate computers with the same boot as on any other cloud."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision import known_hosts
from provision.drivers.local import LocalNodeDriver
from provision.keys import KeyPair
from provision.ssh import connected
from tests.eventually import eventually
from tests.provision.local.machines import BOOT_S, Booted, booted, console

pytestmark = pytest.mark.long


def test_a_machine_has_systemd_and_a_name_of_its_own(machine: Booted) -> None:
    assert machine.sh("cat /proc/1/comm; hostname; hostname -f").split() == [
        *("systemd", "agent-1", "agent-1")
    ]
    assert machine.sh("systemctl is-system-running --wait") == "running"


def test_a_machine_sees_neither_processes_nor_files_of_this_computer(
    machine: Booted, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "4711.25"]) as process:
        try:
            assert "4711" not in machine.sh("ps -eo args")
        finally:
            process.kill()
    (tmp_path / "here").touch()
    assert machine.sh(f"test -e {tmp_path}/here || echo away") == "away"
    machine.sh("touch /there")
    assert not Path("/there").exists()


def test_units_may_be_walled_in(machine: Booted) -> None:
    # systemd skips this without a word where it lacks the rights
    unit = "systemd-run --pipe --wait --quiet -p ProtectSystem=strict -p PrivateTmp=yes"
    assert machine.sh(f"{unit} sh -c 'touch /usr/x 2>/dev/null || echo walled'") == "walled"


def test_user_data_goes_through_cloud_init_and_no_command_line(
    driver: LocalNodeDriver, key: KeyPair, path_with: Path
) -> None:
    # Given a podman that notes its arguments
    note = path_with / "podman"
    note.write_text(
        f'#!/bin/sh\necho "$@" >>{path_with}/noted\nexec $(command -v -p podman) "$@"\n'
    )
    note.chmod(0o755)
    more = (
        "write_files: [{path: /etc/streamboss/agent.json, content: secret, permissions: '0600'}]\n"
        "runcmd: ['hostname > /ran']\n"
    )
    with booted(driver, key, more=more) as machine:
        assert machine.sh("cloud-init status --wait").endswith("status: done")
        assert machine.sh("cat /etc/streamboss/agent.json /ran") == "secretmachine"
        assert machine.sh("stat -c %a /etc/streamboss/agent.json") == "600"
    noted = (path_with / "noted").read_text()
    assert machine.id in noted
    assert "secret" not in noted


def test_a_machine_reaches_what_listens_on_this_computers_loopback(
    machine: Booted, tmp_path: Path
) -> None:
    (tmp_path / "greeting").write_text("hello from outside")
    with _web_server(tmp_path) as port:
        fetch = f"import urllib.request as r; print(r.urlopen('http://10.0.2.2:{port}/greeting').read().decode())"
        assert machine.sh(f'python3 -c "{fetch}"') == "hello from outside"


def test_the_console_shows_the_boot_and_the_host_keys(
    driver: LocalNodeDriver, machine: Booted
) -> None:
    text = eventually(
        lambda: seen if "SSH HOST KEY KEYS" in (seen := console(driver, machine.node)) else ""
    )
    assert "Welcome to Debian GNU/Linux 12" in text
    assert "\x1b" not in text
    own = machine.sh("cat /etc/ssh/ssh_host_*_key.pub").split()[:2]
    assert known_hosts.on_console(text) == {" ".join(own)}


def test_a_reboot_keeps_files_and_port(fresh: Booted, driver: LocalNodeDriver) -> None:
    fresh.sh("echo kept > /kept; echo lost > /run/lost")
    driver.reboot_node(fresh.node)
    (again,) = (node for node in driver.list_nodes() if node.id == fresh.node.id)
    assert again.extra["ssh_port"] == fresh.node.extra["ssh_port"]
    with _reconnected(fresh) as shell:
        assert shell("cat /kept; test -e /run/lost || echo anew").split() == ["kept", "anew"]


def test_a_machine_that_shuts_itself_down_is_stopped_and_starts_again(
    fresh: Booted, driver: LocalNodeDriver
) -> None:
    fresh.sh("(sleep 1; systemctl poweroff) >/dev/null 2>&1 &")
    eventually(lambda: _state(driver, fresh) == "stopped")
    driver.start_node(fresh.node)
    assert _state(driver, fresh) == "running"
    with _reconnected(fresh) as shell:
        assert shell("cat /proc/1/comm") == "systemd"


def _state(driver: LocalNodeDriver, machine: Booted) -> str:
    (state,) = (str(node.state) for node in driver.list_nodes() if node.id == machine.node.id)
    return state


@contextmanager
def _reconnected(machine: Booted) -> Iterator[Callable[[str], str]]:
    with connected(machine.login, timeout_s=BOOT_S) as shell:
        yield Booted(machine.node, shell, machine.login).sh


@contextmanager
def _web_server(folder: Path) -> Iterator[int]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
