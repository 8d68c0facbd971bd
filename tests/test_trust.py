"""Who is let in where: a whole deployment over TLS, and what its agents' logins are good for."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from manager import certificates
from streams import control, names
from streams.broker import Channel, Session, topology
from streams.errors import BrokerError, BrokerRefusedError, BrokerUnreachableError
from streams.message import Message
from streams.tls import with_ca
from tests.deployment import Deployment, deployed
from tests.eventually import eventually
from tests.rabbit import BrokerNode

UPPER: dict[str, Any] = {"exec": "tr a-z A-Z", "application": "mine"}


@pytest.fixture(scope="module")
def deployment(broker_node: BrokerNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One agent at work on `a` to `b`, another one on `secret` to `public`; all by TLS."""
    with deployed(broker_node, tmp_path_factory.mktemp("trust"), secure=True) as running:
        running.add_agent("n2", offers=["theirs"])
        # else the first, which offers any, would have run it for a moment
        eventually(lambda: running.client.get("nodes", "n2")["state"] == "ready", within_s=120)
        running.operation("mine", "a", "b", UPPER, demand="always")
        theirs = {**UPPER, "application": "theirs"}
        running.operation("theirs", "secret", "public", theirs, demand="always")
        running.until("running", "mine", "theirs", within_s=120)
        yield running


@pytest.fixture
def boss(deployment: Deployment) -> Iterator[Session]:
    """Somebody with all rights."""
    with Session(deployment.settings.need_amqp(), name="boss") as session:
        yield session


@pytest.fixture
def stolen(deployment: Deployment) -> Iterator[Session]:
    """Somebody with the login of the first agent, which runs `mine` and nothing else."""
    with Session(_login(deployment, "n1"), name="thief", patience_s=1) as session:
        yield session


def _login(deployment: Deployment, node: str) -> list[str]:
    config = json.loads((deployment.folder / node / "agent.json").read_text())
    ca_file = deployment.folder / f"{node}.pem"
    ca_file.write_text(config["ca"])
    return [with_ca(url, ca_file) for url in config["amqp_urls"]]


def test_everybody_speaks_tls(deployment: Deployment, boss: Session) -> None:
    output = boss.call(lambda channel: topology.declare_subscription(channel, "b", "t"))
    assert boss.publish(names.exchange("a"), Message(b"hello", content_type="text/plain"))
    got = eventually(
        lambda: boss.channel.basic_get(output, auto_ack=True)[2], within_s=20, what="the answer"
    )
    assert got == b"HELLO"
    with httpx.Client(verify=True, trust_env=False) as stranger, pytest.raises(httpx.ConnectError):
        stranger.get(f"{deployment.settings.manager_url}/healthz")
    config = json.loads((deployment.folder / "n1" / "agent.json").read_text())
    assert all(url.startswith("amqps://") for url in config["amqp_urls"])
    ca = deployment.settings.ca_file
    assert ca
    assert config["ca"] == ca.read_text()
    assert "PRIVATE" not in config["ca"]
    assert (ca.parent / certificates.CA_KEY).exists()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_the_manager_speaks_only_tls_that_is_good(deployment: Deployment) -> None:
    url = urlsplit(deployment.settings.need_manager())
    assert url.hostname
    assert url.port

    def agreed(most: ssl.TLSVersion) -> tuple[str, str]:
        trusting = ssl.create_default_context(cafile=str(deployment.settings.ca_file))
        trusting.set_ciphers("ALL:@SECLEVEL=0")
        trusting.minimum_version = ssl.TLSVersion.TLSv1
        trusting.maximum_version = most
        with (
            socket.create_connection((str(url.hostname), int(url.port or 0)), 20) as line,
            trusting.wrap_socket(line, server_hostname=url.hostname) as secure,
        ):
            cipher = secure.cipher()
            assert cipher
            return cipher[1], cipher[0]

    assert agreed(ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"
    version, suite = agreed(ssl.TLSVersion.TLSv1_2)
    assert version == "TLSv1.2"
    assert suite.startswith("ECDHE-")
    assert suite.endswith(("GCM-SHA384", "GCM-SHA256", "POLY1305"))
    with pytest.raises(OSError, match=r"(?i)ssl|reset"):
        agreed(ssl.TLSVersion.TLSv1_1)


Deed = Callable[[Channel], object]
FORBIDDEN: dict[str, Deed] = {
    "read another stream": lambda c: c.queue_bind("agents.n1.x", "streams.secret"),
    "read its own output": lambda c: c.queue_bind("agents.n1.x", "streams.b"),
    "read its own input's stream": lambda c: c.queue_bind("agents.n1.x", "streams.a"),
    "take another operation's input": lambda c: c.basic_get("operations.theirs"),
    "consume another operation's input": lambda c: c.basic_consume("operations.theirs", print),
    "take dead letters": lambda c: c.basic_get("operations.mine.dead"),
    "hear another agent's orders": lambda c: c.queue_bind(
        "agents.n1.x", "streamboss.control", control.assignment_key("n2")
    ),
    "hear what all agents say": lambda c: c.queue_bind(
        "agents.n1.x", "streamboss.control", control.FROM_NODES
    ),
    "hear everything": lambda c: c.queue_bind("agents.n1.x", "streamboss.control", "#"),
    "join streams": lambda c: c.exchange_bind("streams.b", "streams.secret"),
    "declare a queue": lambda c: c.queue_declare("queue"),
    "declare a queue of nobody's": lambda c: c.queue_declare(""),
    "declare another agent's queue": lambda c: c.queue_declare("agents.n2.x"),
    "declare a stream": lambda c: c.exchange_declare("streams.new", "fanout"),
    "delete its operation's queue": lambda c: c.queue_delete("operations.mine"),
    "delete a stream": lambda c: c.exchange_delete("streams.b"),
    "purge another operation's queue": lambda c: c.queue_purge("operations.theirs"),
    "purge dead letters": lambda c: c.queue_purge("operations.mine.dead"),
    "unbind its own operation": lambda c: c.queue_unbind("operations.mine", "streams.a"),
}


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_with_an_agents_login_one_can_not(stolen: Session, deed: str) -> None:
    stolen.call(lambda channel: channel.queue_declare("agents.n1.x", exclusive=True))
    with pytest.raises(BrokerError, match="no right to do this"):
        stolen.call(FORBIDDEN[deed])


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("streams.a", ""),
        ("streams.secret", ""),
        ("streams.public", ""),
        ("streams.streamboss.events", ""),
        ("streamboss.control", control.heartbeat_key("n2")),
        ("streamboss.control", control.assignment_key("n1")),
        ("streamboss.control", control.assignment_key("n2")),
        ("", "operations.theirs"),
        ("amq.topic", "x"),
    ],
)
def test_with_an_agents_login_one_can_not_publish_on(
    stolen: Session, exchange: str, key: str
) -> None:
    with pytest.raises(BrokerError, match="no right to do this"):
        stolen.publish(exchange, Message(b"x"), routing_key=key, mandatory=False)


def test_an_agents_login_is_good_for_its_own_work(stolen: Session) -> None:
    assert stolen.publish("streams.b", Message(b"x"), mandatory=False)
    assert stolen.publish("operations.dead", Message(b"x"), routing_key="mine")
    beat = control.heartbeat_key("n1")
    assert stolen.publish("streamboss.control", Message(b"{}"), routing_key=beat)


def test_the_rights_end_with_the_operation(deployment: Deployment) -> None:
    deployment.operation("short", "a", "c", UPPER, demand="always")
    deployment.until("running", "short")

    def may_publish() -> bool:
        with Session(_login(deployment, "n1"), name="thief", patience_s=1) as thief:
            try:
                return thief.publish("streams.c", Message(b"x"), mandatory=False) or True
            except BrokerError as error:
                assert "no right to do this" in str(error)  # noqa: PT017 - and else it's True
                return False

    assert may_publish()
    deployment.client.delete("operations", "short")
    eventually(lambda: not may_publish(), within_s=20, what="the right is gone")


def test_a_removed_nodes_connections_end(deployment: Deployment) -> None:
    deployment.client.add_node("n3")
    made = deployment.client.add_node("n4")
    ca = deployment.settings.ca_file
    urls = [with_ca(url, ca) for url in made["amqp_urls"]]
    with Session(urls, name="n4", patience_s=1) as session:
        assert session.channel.is_open
        deployment.client.delete("nodes", "n4")
        eventually(partial(_is_closed, session), within_s=10, what="the connection is closed")
    deployment.client.delete("nodes", "n3")
    with Session(urls, name="n4", patience_s=1) as session, pytest.raises(BrokerRefusedError):
        _ = session.channel


def _is_closed(session: Session) -> bool:
    try:
        session.connection.process_data_events(0)
    except (BrokerUnreachableError, BrokerRefusedError):
        return True
    except Exception as error:  # noqa: BLE001 - pika's own, which it is depends on the moment
        return "closed" in repr(error).lower()
    return False
