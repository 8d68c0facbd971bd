"""How things are called on the broker."""

import pytest

from streams import names
from streams.errors import InvalidNameError
from streams.names import QueueName, QueueRole


@pytest.mark.parametrize("name", ["mystream", "my-stream", "a.b", "x_1", "0", "A" * 100])
def test_legal_names_pass(name: str) -> None:
    assert names.exchange(name) == f"streams.{name}"
    assert names.operation_queue(name) == f"operations.{name}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "use A-Z"),
        ("-a", "use A-Z"),
        ("a b", "use A-Z"),
        ("a\n", "use A-Z"),
        ("é", "use A-Z"),
        ("٣", "use A-Z"),
        ("A" * 101, "100 characters"),
        ("my.dead", "'.dead'"),
        ("streamboss.mine", "reserved"),
    ],
)
def test_illegal_names_are_refused_with_the_rule(name: str, why: str) -> None:
    with pytest.raises(InvalidNameError, match=why):
        names.exchange(name)


def test_the_events_stream_is_a_stream_but_no_operation() -> None:
    assert names.exchange("streamboss.events") == "streams.streamboss.events"
    with pytest.raises(InvalidNameError):
        names.operation_queue("streamboss.events")


def test_names_inside_a_dotted_name_hold_no_dot() -> None:
    for kind in ("node", "subscription"):
        assert names.name_problem(kind, "a.b")


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ("operations.my.op", QueueName(QueueRole.OPERATION, "my.op")),
        ("operations.my.op.dead", QueueName(QueueRole.DEAD, "my.op")),
        ("archives.my-stream", QueueName(QueueRole.ARCHIVE, "my-stream")),
        ("subscriptions.a.b.name", QueueName(QueueRole.SUBSCRIPTION, "a.b")),
        ("taps.a.b.0123", QueueName(QueueRole.TAP, "a.b")),
        ("consumers.a.0123", QueueName(QueueRole.CONSUMER, "a")),
        ("agents.n1.0123", QueueName(QueueRole.AGENT, "n1")),
        ("managers.0123", QueueName(QueueRole.MANAGER, "0123")),
        ("operations.", QueueName(QueueRole.FOREIGN, "")),
        ("dead.x", QueueName(QueueRole.FOREIGN, "")),
        ("foreign.x", QueueName(QueueRole.FOREIGN, "")),
        ("amq.gen-xyz", QueueName(QueueRole.FOREIGN, "")),
    ],
)
def test_a_queues_name_tells_its_role(queue: str, expected: QueueName) -> None:
    assert names.parse_queue(queue) == expected


def test_what_is_named_is_parsed_back() -> None:
    made = {
        names.consumer_queue("a.b"): QueueName(QueueRole.CONSUMER, "a.b"),
        names.tap_queue("a.b"): QueueName(QueueRole.TAP, "a.b"),
        names.subscription_queue("a.b", "mine"): QueueName(QueueRole.SUBSCRIPTION, "a.b"),
        names.dead_queue("op"): QueueName(QueueRole.DEAD, "op"),
        names.agent_queue("n", "1f"): QueueName(QueueRole.AGENT, "n"),
    }
    assert {queue: names.parse_queue(queue) for queue in made} == made
