"""The client that tools use, against a real manager."""

import socket
import threading
import time
from dataclasses import replace

import pytest

from manager.client import ManagerClient, ManagerError, ManagerUnreachableError
from streams.broker import Session
from streams.errors import SettingsError
from streams.message import Message
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.serving import Api

UPPER = {"definition": {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}}


def test_a_pipeline_is_made_looked_at_and_removed(api: Api) -> None:
    with api.client() as client:
        assert client.register(UPPER) == 1
        assert client.create_stream("in") is True
        assert client.create_stream("in") is False
        assert client.create_operation("op", 1, "in", "out", linger_s=2) is True
        assert client.create_operation("op", 1, "in", "out", linger_s=2) is False
        assert client.patch_operation("op", demand="paused")["demand"] == "paused"
        assert client.get("operations", "op")["linger_s"] == 2
        assert client.update_definition(1, UPPER)["version"] == 1
        assert [item["id"] for item in client.list("definitions")] == [1]
        assert client.logs("op") == []
        assert client.delete("operations", "op")["messages"] == 0
        assert client.delete("definitions", 1) == {}
        # the manager's own view of who consumes may lag behind
        eventually(lambda: client.delete("streams", "out") == {})
        assert [item["name"] for item in client.list("streams")] == ["in", "streamboss.events"]


def test_messages_are_purged_and_dead_letters_given_back(api: Api, session: Session) -> None:
    with api.client() as client:
        client.register(UPPER)
        client.create_operation("op", 1, "in", "out", demand="paused")
        for _ in range(2):
            session.publish("operations.dead", Message(b"x"), routing_key="op")
        assert len(client.dead_letters("op")) == 2
        assert client.redrive("op", 1) == 1
        assert client.purge_dead_letters("op") == 1
        assert client.purge("op") == 1


def test_nodes_users_and_subscriptions(api: Api, session: Session) -> None:
    with api.client() as client:
        config = client.add_node("n1", offers=["upper"], slots=2)
        assert (config["offers"], config["slots"]) == (["upper"], 2)
        assert client.delete("nodes", "n1") == {}
        assert client.add_user("ada", "p") is True
        assert client.add_user("ada", "p") is False
        assert client.change_user("ada", role="viewer")["role"] == "viewer"
        assert client.create_token("ada")
        client.create_stream("a")
        session.call(lambda c: c.queue_declare("subscriptions.a.mine", durable=True))
        assert client.get("subscriptions", "a/mine")["messages"] == 0
        assert client.remove_subscription("a", "mine") == 0


def test_a_list_of_many_pages_is_one_list(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.client._PAGE", 2)
    with api.client() as client:
        for number in range(4):
            client.create_stream(f"s{number}")
        assert len(client.list("streams")) == 5


def test_all_problems_are_one_error(api: Api) -> None:
    with api.client() as client, pytest.raises(ManagerError) as caught:
        client.create_operation("no good", 7, "same", "same")
    assert caught.value.status == 422
    assert len(caught.value.problems) == 3
    assert "there is no process definition 7" in str(caught.value)


def test_a_wrong_password_says_what_to_check(api: Api) -> None:
    with (
        api.client(("boss", "wrong")) as client,
        pytest.raises(ManagerError, match="check STREAMBOSS_USER and STREAMBOSS_PASSWORD"),
    ):
        client.list("streams")


def test_nobody_there_is_one_clear_line_within_5_s() -> None:
    settings = Settings(manager_url="http://127.0.0.1:1", user="ada", password="secret")
    before = time.monotonic()
    with (
        ManagerClient(settings) as client,
        pytest.raises(ManagerUnreachableError, match=r"manager http://127.0.0.1:1: not reachable"),
    ):
        client.list("streams")
    assert time.monotonic() - before < 5
    with pytest.raises(SettingsError, match="STREAMBOSS_MANAGER_URL is not set"):
        ManagerClient(replace(settings, manager_url=None))


def test_a_manager_that_hangs_is_told_within_5_s() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        before = time.monotonic()
        with (
            ManagerClient(Settings(manager_url=url)) as client,
            pytest.raises(ManagerUnreachableError, match="no answer in time"),
        ):
            client.list("streams")
        assert time.monotonic() - before < 5


def test_somebody_else_there_is_told_from_a_manager() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                while connection.recv(65536):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        with (
            ManagerClient(Settings(manager_url=url)) as client,
            pytest.raises(ManagerError, match="not as a manager does"),
        ):
            client.list("streams")
        thread.join(10)
