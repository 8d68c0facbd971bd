"""The agent's line to the manager, without any operation: a real broker, a restricted user."""

import signal
from pathlib import Path

from streams import names
from streams.errors import QueueMissingError
from streams.message import Message
from tests.agent.node.playing import NODE, Manager, running_agent
from tests.agent.node.relay import Relay
from tests.eventually import eventually


def test_a_node_announces_itself_at_once_and_again(manager: Manager, tmp_path: Path) -> None:
    with running_agent(tmp_path, manager.node_url):
        first = manager.heard()
        assert (first.node, first.state, first.offers, first.term) == (NODE, "ready", ("any",), 0)
        assert first.slots >= 2
        assert first.memory_bytes
        later = manager.heard(within_s=10)
        assert later.incarnation == first.incarnation
        assert later.cpu_percent is not None


def test_its_queue_is_its_own_and_goes_with_it(manager: Manager, tmp_path: Path) -> None:
    with running_agent(tmp_path, manager.node_url):
        incarnation = manager.heard().incarnation
        with manager.management() as management:
            queues = {queue["name"] for queue in management.queues()}
        assert f"agents.{NODE}.{incarnation}" in queues

    def gone() -> bool:
        try:
            manager.session.call(
                lambda c: c.queue_declare(names.agent_queue(NODE, incarnation), passive=True)
            )
        except QueueMissingError:
            return True
        return False

    eventually(gone)


def test_sigterm_says_goodbye(manager: Manager, tmp_path: Path) -> None:
    with running_agent(tmp_path, manager.node_url) as agent:
        manager.heard()
        agent.signal(signal.SIGTERM)
        assert agent.process.wait(20) == 0
        eventually(lambda: manager.hear() and manager.heartbeats[-1].state == "gone")


def test_what_it_does_not_follow_it_says_once(manager: Manager, tmp_path: Path) -> None:
    with running_agent(tmp_path, manager.node_url) as agent:
        manager.heard()
        # fields of tomorrow are fine
        manager.assign(term=5, colour="red")
        eventually(lambda: manager.hear() and manager.heartbeats[-1].term == 5)
        # an older leader, another version, another incarnation, and no JSON aren't
        for _ in range(3):
            manager.assign(term=4)
        manager.assign(term=6, v=2)
        manager.assign(term=7, incarnation="before")
        manager.session.publish(names.CONTROL_EXCHANGE, Message(b"{"), routing_key=f"to.{NODE}")
        eventually(lambda: "isn't JSON" in agent.text())
        assert agent.text().count("term 4: refused, term 5 was seen") == 1
        assert "control version 2" in agent.text()
        assert manager.heard().term == 5


def test_a_wrong_password_is_one_line_and_tried_again(manager: Manager, tmp_path: Path) -> None:
    right, manager.password = manager.password, "another-secret"
    with running_agent(tmp_path, manager.node_url) as agent:
        eventually(lambda: "user or password was refused" in agent.text())
        assert "another-secret" not in agent.text()
        with manager.management() as management:
            management.put_user(manager.user, "another-secret")
        manager.heard(within_s=40)
    manager.password = right


def test_it_comes_back_as_another_after_its_connection_was_closed(
    manager: Manager, tmp_path: Path
) -> None:
    with running_agent(tmp_path, manager.node_url) as agent:
        incarnation = manager.heard().incarnation
        with manager.management() as management:
            management._send("DELETE", f"/connections/username/{manager.user}")
        eventually(lambda: "closed the connection" in agent.text(), what="it has lost the line")
        # so that it is told again what went to the queue that was lost with the line
        eventually(
            lambda: manager.hear() and manager.heartbeats[-1].incarnation != incarnation,
            what="it is heard as another",
        )
        manager.assign(term=3)
        eventually(lambda: manager.hear() and manager.heartbeats[-1].term == 3)


def test_a_queue_held_by_its_own_dead_connection_holds_up_nothing(
    manager: Manager, tmp_path: Path
) -> None:
    # Given a line that breaks on the agent's side only: for the broker it is still there
    with Relay(manager.node_url) as relay, running_agent(tmp_path, relay.url):
        before = manager.heard().incarnation
        relay.break_half()
        # Then the agent is heard again, as somebody new, and takes assignments
        eventually(
            lambda: manager.hear() and manager.heartbeats[-1].incarnation != before, within_s=20
        )
        manager.assign(term=2)
        eventually(lambda: manager.hear() and manager.heartbeats[-1].term == 2)
