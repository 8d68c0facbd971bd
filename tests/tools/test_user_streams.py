"""Users by stream: what `user allow` lets people do on a real broker, and what it doesn't."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from manager.model import Operation
from manager.permissions import node_rights, person_rights
from streams.broker import Channel, Session, topology
from streams.definition import ProcessDefinition
from streams.errors import BrokerError, BrokerRefusedError
from streams.management import Management
from streams.message import Message
from tests.manager.serving import Api
from tests.rabbit import BrokerNode
from tests.tools.typist import Typist, served

STREAMS = ("in", "out", "out.secret", "outx", "secret")


@pytest.fixture(scope="module")
def api(broker_node: BrokerNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager with some streams, and two users."""
    with served(broker_node, tmp_path_factory.mktemp("people")) as (running, _):
        for stream in STREAMS:
            assert running.post("/api/streams/", {"name": stream}).status_code == 201
        for name in ("ada", "bob"):
            running.add_user(name)
        yield running


@pytest.fixture
def boss(api: Api, tmp_path: Path) -> Typist:
    """The admin at the keyboard."""
    return Typist.at(api.url, tmp_path)


@pytest.fixture
def ada(boss: Typist) -> str:
    """The address of a user who may publish on `in`, and consume `out`."""
    done = boss.run("user", "allow", "ada", "--publish", "in", "--consume", "out")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_people_publish_and_consume_with_the_broker_alone(
    api: Api, ada: str, tmp_path: Path
) -> None:
    person = Typist.at("", tmp_path)
    del person.environment["STREAMBOSS_MANAGER_URL"]
    person.environment["STREAMBOSS_AMQP_URL"] = ada
    for durable in ([], ["--durable", "ada"]):
        consuming = person.start_bytes("consume", "out", "--count", "1", *durable)
        assert consuming.stderr
        while b"consuming out" not in consuming.stderr.readline():
            pass
        api.services.runtime.broker.publish("out", Message(b"hello", content_type="text/plain"))
        assert consuming.communicate(timeout=30)[0] == b"hello\n"
    (tmp_path / "file").write_text("x")
    person.must("publish", "in", "--file", "file")
    refused = person.run("publish", "out", "--file", "file")
    assert refused.returncode == 1
    assert "no right to do this" in refused.stderr
    assert "Traceback" not in refused.stderr


def _shown(boss: Typist, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in boss.must("user", "streams", name, "--json").splitlines()]


Deed = Callable[[Channel], object]
FORBIDDEN: dict[str, Deed] = {
    "consume what they publish on": lambda c: topology.declare_subscription(c, "in", "eve"),
    "consume another stream": lambda c: topology.declare_subscription(c, "secret", "eve"),
    "consume a stream of a longer name": lambda c: topology.declare_subscription(
        c, "out.secret", "eve"
    ),
    "consume a stream of a name that goes on": lambda c: c.queue_declare("consumers.outx.0123"),
    "collect another stream": lambda c: c.queue_bind("consumers.out.0123", "streams.secret"),
    "take another's messages": lambda c: c.basic_get("subscriptions.out.bob"),
    "throw another's messages away": lambda c: c.queue_purge("subscriptions.out.bob"),
    "remove another's subscription": lambda c: c.queue_delete("subscriptions.out.bob"),
    "take an operation's input": lambda c: c.basic_get("operations.op"),
    "hear nodes": lambda c: c.queue_bind("consumers.out.0123", "streamboss.control", "#"),
    "declare a queue": lambda c: c.queue_declare("mine"),
    "declare a stream": lambda c: c.exchange_declare("streams.mine", "fanout"),
    "remove a stream": lambda c: c.exchange_delete("streams.in"),
}


@pytest.fixture(scope="module")
def eves_address(api: Api) -> str:
    """The address of a user who may publish on `in`, and consume `out`; as the API tells it."""
    api.add_user("eve")
    rights = {"publish": ["in"], "consume": ["out"]}
    allowed = api.request("PUT", "/api/users/eve/streams/", rights).json()
    assert (allowed["publish"], allowed["consume"]) == (["in"], ["out"])
    return ",".join(allowed["amqp_urls"])


@pytest.fixture
def thief(api: Api, eves_address: str) -> Iterator[Session]:
    """Eve with a client of her own; Bob has a subscription, and somebody an operation."""
    with Session(api.settings.need_amqp(), name="boss") as everybody:
        everybody.call(lambda channel: topology.declare_subscription(channel, "out", "bob"))
        everybody.call(lambda channel: topology.declare_operation(channel, "op"))
    with Session([eves_address], name="eve", patience_s=1) as session:
        session.call(lambda channel: channel.queue_declare("consumers.out.0123", exclusive=True))
        yield session


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_a_restricted_user_can_not(thief: Session, deed: str) -> None:
    with pytest.raises(BrokerError, match="no right to do this"):
        thief.call(FORBIDDEN[deed])


@pytest.mark.parametrize("exchange", ["streams.out", "streams.secret", "streamboss.control", ""])
def test_a_restricted_user_can_not_publish_on(thief: Session, exchange: str) -> None:
    with pytest.raises(BrokerError, match="no right to do this"):
        thief.publish(exchange, Message(b"x"), mandatory=False)


def test_rights_are_shown_replaced_and_taken_away(boss: Typist, ada: str) -> None:
    shown = _shown(boss, "ada")
    assert shown == [
        {"stream": "in", "publish": True, "consume": False},
        {"stream": "out", "publish": False, "consume": True},
    ]
    again = boss.run("user", "allow", "ada", "--consume", "in").stdout.strip()
    assert _shown(boss, "ada") == [{"stream": "in", "publish": False, "consume": True}]
    assert boss.run("user", "forbid", "ada").returncode == 0
    assert _shown(boss, "ada") == []
    for url in (ada, again):
        with Session([url], name="ada", patience_s=1) as s, pytest.raises(BrokerRefusedError):
            _ = s.channel


def test_rights_end_with_the_stream_and_with_the_user(boss: Typist, api: Api) -> None:
    api.post("/api/streams/", {"name": "short"})
    api.add_user("short")
    url = boss.run("user", "allow", "short", "--publish", "short", "--publish", "in").stdout.strip()
    assert boss.run("remove-stream", "short").returncode == 0
    api.post("/api/streams/", {"name": "short"})
    assert [right["stream"] for right in _shown(boss, "short")] == ["in"]
    assert boss.run("user", "remove", "short", "--yes").returncode == 0
    with Session([url], name="short", patience_s=1) as s, pytest.raises(BrokerRefusedError):
        _ = s.channel


def test_only_streams_and_users_that_exist_and_only_admins(boss: Typist, api: Api) -> None:
    refused = boss.run("user", "allow", "ada", "--publish", "no1", "--consume", "no2")
    assert refused.returncode == 1
    assert "'no1'" in refused.stderr
    assert "'no2'" in refused.stderr
    assert boss.run("user", "allow", "nobody", "--publish", "in").returncode == 1
    assert boss.run("user", "allow", "ada").returncode == 2
    rights = {"publish": ["in"]}
    bob = ("bob", "bob's secret")
    assert api.request("PUT", "/api/users/bob/streams/", rights, user=bob).status_code == 403
    assert api.get("/api/users/ada/streams/", user=bob).status_code == 403
    assert api.get("/api/users/bob/streams/", user=bob).json()["publish"] == []


def test_the_broker_takes_the_longest_rights(api: Api) -> None:
    definition = ProcessDefinition(name="n", application="a", exec="cat")
    operations = [
        Operation(f"{n:03}{'.' * 96}x", "o", 1, definition, "in", f"{n:03}{'-' * 97}")
        for n in range(200)
    ]
    streams = [f"{n:02}{'.' * 97}x" for n in range(100)]
    with Management.from_settings(api.settings) as management:
        management.put_user("long", "p")
        management.put_permissions("long", **node_rights("n", operations))
        management.put_permissions("long", **person_rights("u" * 100, streams, streams))
        management.delete_user("long")
