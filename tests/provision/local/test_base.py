"""The base image: made once, or one line says why not."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from provision.drivers.local import LocalNodeDriver, base
from provision.errors import ProvisionError
from tests.eventually import eventually
from tests.provision.local.machines import lacking

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking() or "has all")


@pytest.mark.long
def test_without_a_mirror_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        ProvisionError, match="from a Debian mirror, once, and there is no way"
    ) as no:
        base.bootstrap(tmp_path, lock=0)
    assert len(str(no.value).splitlines()) == 1
    assert "127.0.0.1:9" in str(no.value)


@pytest.mark.long
def test_whoever_is_next_waits_for_what_a_killed_maker_started(tmp_path: Path) -> None:
    script = (
        "import fcntl, sys; from pathlib import Path; from provision.drivers.local import base;"
        "lock = open(sys.argv[2], 'w'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "base.bootstrap(Path(sys.argv[1]), lock.fileno())"
    )
    lock = tmp_path / "lock"
    # Given a mirror that takes its time, and a maker that is killed meanwhile
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{mirror.getsockname()[1]}"}
        command = [sys.executable, "-c", script, str(tmp_path), str(lock)]
        with subprocess.Popen(command, env=environment) as maker, mirror.accept()[0]:
            maker.kill()
            maker.wait()
            assert not _free(lock)
    # then the lock is free when all that it started has ended
    eventually(lambda: _free(lock), within_s=60)


def _free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_without_podman_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProvisionError, match=r"podman isn't installed: run \./setup\.sh"):
        LocalNodeDriver("nowhere").list_nodes()
