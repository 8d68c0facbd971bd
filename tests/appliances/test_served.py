"""What a manager's machine serves with: its own script and broker configuration, on 127.0.0.1."""

import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from appliances.deployment.settings import AMQP
from manager import certificates
from streams import names, tls
from streams.broker import Session, topology
from streams.errors import BrokerError
from streams.message import Message
from tests.deployment import ROOT
from tests.rabbit import BrokerNode, launched
from tools.stack import rabbitmq
from tools.stack.ports import free_ports

_FILES = ROOT / "appliances" / "stream-manager"
_MACHINES = "/etc/streamboss/tls"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's certificates, as its script makes them at the first boot."""
    folder = tmp_path_factory.mktemp("machine") / "tls"
    folder.mkdir()
    (folder / "hosts").write_text("localhost\n127.0.0.1\n")
    _certify(folder)
    return folder


def _certify(folder: Path) -> list[str]:
    """Run the machine's script, with other paths; return what it asks of systemd and the broker."""
    told = folder.parent / "told"
    told.write_text("")
    for command in ("systemctl", "rabbitmqctl"):
        path = folder.parent / command
        path.write_text(f'#!/bin/sh\necho "{command} $*" >>{told}\n')
        path.chmod(0o755)
    text = _with(
        _FILES / "streamboss-certificates",
        {
            _MACHINES: str(folder),
            " -g streamboss-tls": "",
            "install -d -m 755 /etc/streamboss\n": "",
            "/opt/streamboss/bin/streamboss": f"{sys.executable} -m tools.main",
        },
    )
    environment = {**os.environ, "PATH": f"{folder.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", text], cwd=ROOT, check=True, timeout=60, env=environment)
    return told.read_text().splitlines()


def _with(path: Path, other: Mapping[str, str]) -> str:
    text = path.read_text()
    for there, here in other.items():
        assert there in text
        text = text.replace(there, here)
    return text


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[rabbitmq.Node]:
    """A broker with the configuration of a manager's machine."""
    node = rabbitmq.Node(
        folder.parent, rabbitmq.Ports(*free_ports(5)), "tests", secrets.token_hex(8)
    )
    node.write_files()
    text = _with(
        _FILES / "rabbitmq.conf",
        {
            _MACHINES: str(folder),
            f"listeners.ssl.default = {AMQP}": f"listeners.ssl.1 = 127.0.0.1:{node.ports.amqp}",
            "port = 15672": f"port = {node.ports.management}",
            "port = 15692": f"port = {node.ports.prometheus}",
        },
    )
    login = f"default_user = {node.user}\ndefault_pass = {node.password}\n"
    (node.folder / "rabbitmq.conf").write_text(text + login)
    epmd = subprocess.Popen(node.epmd_command(), env={"PATH": "/usr/bin"})
    running = BrokerNode(node, launched(node), node.ports.amqp, folder)
    try:
        running.wait_ready()
        yield node
    finally:
        running.kill()
        epmd.kill()
        epmd.wait()


def _urls(node: rabbitmq.Node, folder: Path) -> list[str]:
    secure = node.amqp_url.replace("amqp:", "amqps:")
    return [tls.with_ca(secure, folder / certificates.CA)]


def test_who_serves_takes_a_new_certificate_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    for hosts in ("127.0.0.1\n", "127.0.0.1\n10.0.2.2\n"):
        (folder / "hosts").write_text(hosts)
        told = _certify(folder)
        assert "rabbitmqctl --quiet eval ssl:clear_pem_cache()." in told
        assert told[-1] == (
            "systemctl --no-block try-restart streamboss-seaweedfs.service"
            " streamboss-manager.service"
        )
        assert _certify(folder) == []


def test_the_broker_speaks_tls_alone(broker: rabbitmq.Node, folder: Path) -> None:
    with Session(_urls(broker, folder), name="t") as session:
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        queue = session.call(lambda channel: topology.declare_subscription(channel, "s", "t"))
        assert session.publish(names.exchange("s"), Message(b"hello"))
        assert session.channel.basic_get(queue, auto_ack=True)[2] == b"hello"
    with pytest.raises(BrokerError), Session([broker.amqp_url], name="t", patience_s=1) as clear:
        _ = clear.channel


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_the_broker_takes_no_older_tls_than_1_2(
    broker: rabbitmq.Node, folder: Path, version: ssl.TLSVersion
) -> None:
    asked = tls.context(folder / certificates.CA)
    asked.set_ciphers("ALL:@SECLEVEL=0")  # else it is OpenSSL here that refuses
    asked.minimum_version = asked.maximum_version = version
    where = ("127.0.0.1", broker.ports.amqp)
    refused = version < ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(where, timeout=20) as line,
        pytest.raises(ssl.SSLError) if refused else nullcontext(),
        asked.wrap_socket(line, server_hostname="127.0.0.1") as secure,
    ):
        assert secure.version() == "TLSv1.2"


def test_a_machine_keeps_its_ca_when_its_names_are_others(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    _certify(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "hosts").write_text("boss.example\n127.0.0.1\n")
    _certify(tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    changed = {name for name, content in after.items() if before[name] != content}
    assert changed == {"hosts", certificates.CERTIFICATE, certificates.KEY}
