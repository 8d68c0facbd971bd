"""ssh to a real machine: commands, files, and whom it trusts."""

import dataclasses
import hashlib
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from provision import keys
from provision.drivers.local import LocalNodeDriver
from provision.errors import Kind, MachineFailedError, ProvisionError, WaitTimeoutError
from provision.keys import KeyPair
from provision.known_hosts import HostKeyError, KnownHosts
from provision.login import wait_for_sshd
from provision.ssh import CommandError, SshError, connected
from tests.provision.local.machines import BOOT_S, Booted, booted

pytestmark = pytest.mark.long


def test_lines_are_heard_while_the_command_runs(machine: Booted) -> None:
    heard = list[tuple[str, float]]()
    text = machine.shell.run(
        "echo one; echo two >&2; sleep 1; echo three",
        timeout_s=30,
        on_line=lambda line: heard.append((line, time.monotonic())),
    )
    assert [line for line, _ in heard] == ["one", "two", "three"]
    assert heard[2][1] - heard[0][1] > 0.5
    assert text == "one\ntwo\nthree\n"


def test_a_command_that_fails_says_how(machine: Booted) -> None:
    with pytest.raises(CommandError) as failed:
        machine.sh("seq 100; exit 3")
    first, *tail = str(failed.value).splitlines()
    assert first == f"{machine.id}: seq 100; exit 3: exit 3"
    assert tail == [str(number) for number in range(81, 101)]
    assert failed.value.status == 3


def test_a_command_that_takes_too_long_is_ended_on_the_machine(machine: Booted) -> None:
    with pytest.raises(CommandError, match="no end after 1 s") as failed:
        machine.shell.run("trap '' TERM; sleep 4712 & wait; sleep 4712", timeout_s=1)
    assert failed.value.status is None
    assert machine.sh("pgrep -x sleep || echo ended") == "ended"


def test_124_is_not_mistaken_for_a_time_out(machine: Booted) -> None:
    with pytest.raises(CommandError, match=r"exit 124$"):
        machine.sh("exit 124")


def test_a_child_that_keeps_the_output_open_does_not_hold_us_up(machine: Booted) -> None:
    assert machine.shell.run("sleep 600 & echo started", timeout_s=300) == "started\n"
    machine.sh("pkill -x sleep || true")


def test_files_arrive_whole_with_mode_and_owner(machine: Booted, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(bytes(range(256)) * 4096)
    machine.shell.put(program, "/opt/a new/place/program", mode=0o755)
    machine.shell.put_text("schön\n", "/opt/a new/place/text", mode=0o600)
    machine.shell.put_text("schöner\n", "/opt/a new/place/text", mode=0o600)
    where = "'/opt/a new/place'"
    assert machine.sh(f"stat -c '%a %U %s' {where}/*").splitlines() == [
        *("755 root 1048576", "600 root 9")
    ]
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    assert machine.sh(f"sha256sum <{where}/program") == f"{digest}  -"
    assert machine.sh(f"ls -A {where} ~ | grep -E 'part|streamboss' || echo clean") == "clean"


def test_a_file_that_cannot_be_written_or_read_is_said(machine: Booted, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=f"{machine.id}: /proc/no/file: can't be written: "):
        machine.shell.put_text("x", "/proc/no/file")
    with pytest.raises(ProvisionError, match="nowhere: No such file or directory"):
        machine.shell.put(tmp_path / "nowhere", "/x")
    with pytest.raises(ProvisionError, match="Is a directory"):
        machine.shell.put(tmp_path, "/x")


def test_another_user_becomes_root(driver: LocalNodeDriver, key: KeyPair) -> None:
    user = f"{{name: admin, sudo: 'ALL=(ALL) NOPASSWD:ALL', ssh_authorized_keys: ['{key.public}']}}"
    with booted(driver, key, more=f"users: [{user}]\n") as machine:
        login = dataclasses.replace(machine.login, user="admin")
        with connected(login, timeout_s=BOOT_S) as shell:
            assert shell.run("id -un", timeout_s=10) == "root\n"
            shell.put_text("mine", "/root/secret", mode=0o600)
            assert shell.run("cat /root/secret; ls -A ~admin", timeout_s=10).startswith("mine")


def test_a_machine_that_ends_breaks_the_connection(driver: LocalNodeDriver, key: KeyPair) -> None:
    with booted(driver, key) as machine:
        threading.Timer(0.5, driver.destroy_node, [machine.node]).start()
        with pytest.raises(SshError, match=f"{machine.id}: ssh broke off") as broken:
            machine.sh("sleep 600")
        assert broken.value.kind is Kind.RETRY


def test_another_host_key_is_refused_at_once(machine: Booted, tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.remember(machine.id, frozenset({"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIElsewhere"}))
    login = dataclasses.replace(machine.login, known_hosts=known)
    with pytest.raises(HostKeyError), connected(login, timeout_s=BOOT_S):
        pytest.fail("let in")


def test_another_key_is_not_let_in(machine: Booted, tmp_path: Path) -> None:
    stranger = keys.ensure(tmp_path, comment="stranger")
    login = dataclasses.replace(machine.login, key=stranger.path)
    expected = f"{machine.id}: no login as root on 127.0.0.1 port {machine.login.port}: Auth"
    with pytest.raises(SshError, match=expected) as refused, connected(login, timeout_s=0.5):
        pytest.fail("let in")
    assert refused.value.kind is Kind.AUTH


def test_the_command_for_people_logs_in(machine: Booted) -> None:
    command = [*shlex.split(machine.login.command()), "hostname"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("agent-1\n", 0), done.stderr


def test_a_port_behind_which_nobody_speaks_ssh_is_waited_for_in_vain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(WaitTimeoutError, match=f"an ssh server on 127.0.0.1 port {port}"):
            wait_for_sshd("127.0.0.1", port, timeout_s=0.2)


def test_a_machine_that_has_stopped_is_not_waited_for(
    driver: LocalNodeDriver, fresh: Booted
) -> None:
    driver.stop_node(fresh.node)

    def check() -> None:
        (node,) = (node for node in driver.list_nodes() if node.id == fresh.node.id)
        raise MachineFailedError(f"{node.id} is {node.state}")

    with pytest.raises(MachineFailedError, match=f"{fresh.id} is stopped"):
        wait_for_sshd("127.0.0.1", fresh.login.port, timeout_s=BOOT_S, check=check)
