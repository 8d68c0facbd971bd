"""Programs on an appliance don't reach the cloud's metadata service; others do, root among them."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.deployment import ROOT

_SCRIPT = ROOT / "appliances" / "stream-agent" / "streamboss-no-metadata"
_METADATA = ("169.254.169.254", "fd00:ec2::254")
#: Stands there and answers; says so when it does.
_SERVICE = """
import selectors, socket, sys
listening = selectors.DefaultSelector()
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in (80, 81):
        server = socket.create_server((address, port), family=family)
        listening.register(server, selectors.EVENT_READ)
print("there", flush=True)
while True:
    for key, _ in listening.select():
        key.fileobj.accept()[0].close()
"""
_TRY = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
asked = socket.socket(family)
asked.settimeout(10)
print(asked.connect_ex((sys.argv[1], 80)))
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are root's")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=20)


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"sb-{uuid4().hex[:8]}"
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "delete", name)


@contextmanager
def _cloud() -> Iterator[str]:
    """Give the namespace of a machine; a metadata service is at the other end of its line."""
    with _namespace() as machine, _namespace() as cloud:
        peer = ("peer", "name", "eth0", "netns", cloud)
        _ip("-n", machine, "link", "add", "eth0", "type", "veth", *peer)
        for place, last in ((cloud, 1), (machine, 2)):
            _ip("-n", place, "link", "set", "eth0", "up")
            _ip("-n", place, "address", "add", f"10.9.9.{last}/24", "dev", "eth0")
            _ip("-n", place, "address", "add", f"fd99::{last}/64", "dev", "eth0", "nodad")
        for address in _METADATA:
            _ip("-n", cloud, "address", "add", address, "dev", "lo")
        _ip("-n", machine, "route", "add", "default", "via", "10.9.9.1")
        _ip("-n", machine, "-6", "route", "add", "default", "via", "fd99::1")
        command = ["ip", "netns", "exec", cloud, sys.executable, "-c", _SERVICE, *_METADATA]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            assert service.stdout
            assert service.stdout.readline() == "there\n"
            try:
                yield machine
            finally:
                service.kill()


def _connect(machine: str, user: str, address: str) -> int:
    """Return what connecting there as `user` ends with: 0, or the system's number of the error."""
    become = ["setpriv", "--reuid", user, "--clear-groups", "--"]
    words = ["ip", "netns", "exec", machine, *become, "/usr/bin/python3", "-c", _TRY, address]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
    return int(done.stdout)


def test_programs_dont_reach_the_metadata_service_and_others_do() -> None:
    with _cloud() as machine:
        for address in _METADATA:
            assert _connect(machine, "nobody", address) == 0
        for _ in range(2):  # an agent starts more than once
            subprocess.run(
                ["ip", "netns", "exec", machine, _SCRIPT, "nobody"], check=True, timeout=20
            )
        for address in _METADATA:
            assert _connect(machine, "nobody", address) == errno.EACCES
            assert _connect(machine, "root", address) == 0
