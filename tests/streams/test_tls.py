"""TLS to a real broker: who is trusted, and what is said of who isn't."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from manager import certificates
from streams import names, tls
from streams.broker import EventLoop, LoopConnection, Session, topology
from streams.errors import BrokerError, BrokerRefusedError, SettingsError
from streams.message import Message
from streams.settings import Settings
from tests.rabbit import BrokerNode


def refusal(*urls: str) -> str:
    """Return what both faces say of a broker that they don't trust: the same, at once."""
    with pytest.raises(BrokerRefusedError) as raised, Session(urls, name="t", patience_s=20) as s:
        _ = s.channel
    loop, lost = EventLoop(), list[BrokerError]()
    LoopConnection(loop, urls, name="t", on_ready=lambda: None, on_lost=lost.append)
    loop.run_until(lambda: bool(lost))
    loop.close()
    assert str(lost[0]) == str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_messages_come_through_tls(broker_node: BrokerNode, settings: Settings) -> None:
    secure = broker_node.by_tls(settings).need_amqp()
    with Session(secure, name="test") as session:
        session.call(lambda channel: topology.declare_stream(channel, "s"))
        queue = session.call(lambda channel: topology.declare_subscription(channel, "s", "t"))
        body = bytes(3_000_000)
        assert session.publish(names.exchange("s"), Message(body))
        assert session.channel.basic_get(queue, auto_ack=True)[2] == body


def test_a_ca_that_is_not_ours_is_refused(
    broker_node: BrokerNode, settings: Settings, tmp_path: Path
) -> None:
    certificates.ensure(tmp_path, ["127.0.0.1"])
    (secure,) = broker_node.by_tls(settings).need_amqp()
    foreign = tls.with_ca(tls.parted(secure)[0], tmp_path / certificates.CA)
    assert "no CA that we know signed its certificate" in refusal(foreign)
    of_the_system = refusal(tls.parted(secure)[0])
    assert of_the_system.endswith("set STREAMBOSS_CA_FILE to its CA's file")
    assert "@" not in of_the_system


def test_a_certificate_of_another_host_is_refused(
    broker_node: BrokerNode, settings: Settings
) -> None:
    (secure,) = broker_node.by_tls(settings).need_amqp()
    said = refusal(secure.replace("127.0.0.1", "localhost"))
    assert "the certificate is another host's" in said
    assert "'localhost'" in said


def test_a_certificate_that_has_ended_is_refused(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["127.0.0.1"])
    _end(tmp_path)
    with _tls_server(tmp_path) as port:
        url = tls.with_ca(f"amqps://u:p@127.0.0.1:{port}/", tmp_path / certificates.CA)
        said = refusal(url)
    assert "certificate has expired: renew it there, or set the clock here" in said


def test_tls_to_a_port_without_it_says_so(settings: Settings) -> None:
    (plain,) = settings.need_amqp()
    assert "check scheme and port" in refusal(plain.replace("amqp:", "amqps:"))


def test_a_ca_file_belongs_to_each_secure_address(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["127.0.0.1"])
    ca_file = tmp_path / certificates.CA
    urls = "amqps://u:p@a/v?heartbeat=5,amqp://u:p@b,amqps://u:p@c?cacertfile=/x"
    loaded = Settings.load(
        {"STREAMBOSS_AMQP_URL": urls, "STREAMBOSS_CA_FILE": str(ca_file)}, tmp_path
    )
    first, second, third = loaded.need_amqp()
    assert tls.parted(first) == ("amqps://u:p@a/v?heartbeat=5", str(ca_file))
    assert second == "amqp://u:p@b"
    assert tls.parted(third)[1] == "/x"


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("x", "no certificates in PEM")])
def test_a_ca_file_that_is_none_is_told_with_the_settings(
    tmp_path: Path, text: str | None, why: str
) -> None:
    if text:
        (tmp_path / "ca").write_text(text)
    with pytest.raises(SettingsError, match=f"^STREAMBOSS_CA_FILE: .*ca: {why}"):
        Settings.load({"STREAMBOSS_CA_FILE": str(tmp_path / "ca")}, tmp_path)


def test_certificates_are_made_anew_only_when_they_must(tmp_path: Path) -> None:
    assert certificates.ensure(tmp_path, ["a.example", "127.0.0.1"])
    ca = (tmp_path / certificates.CA).read_bytes()
    assert not certificates.ensure(tmp_path, ["a.example", "127.0.0.1"])
    assert certificates.ensure(tmp_path, ["b.example"])
    _end(tmp_path)
    assert certificates.ensure(tmp_path, ["b.example"])
    assert not certificates.ensure(tmp_path, ["b.example"])
    assert (tmp_path / certificates.CA).read_bytes() == ca
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o640}


def _end(folder: Path) -> None:
    """Let the certificate in `folder` have ended a minute ago."""
    path = folder / certificates.CERTIFICATE
    there = x509.load_pem_x509_certificate(path.read_bytes())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=there.issuer,
        subject_name=there.subject,
        public_key=there.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=2),
        not_valid_after=now - timedelta(minutes=1),
        extensions=list(there.extensions),
    )
    key = load_pem_private_key((folder / certificates.CA_KEY).read_bytes(), None)
    ended = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    path.write_bytes(ended.public_bytes(Encoding.PEM))


@contextmanager
def _tls_server(folder: Path) -> Iterator[int]:
    """Serve handshakes, and nothing more, with the certificate in `folder`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / certificates.CERTIFICATE, folder / certificates.KEY)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted, suppress(OSError), context.wrap_socket(accepted, True):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
