"""What endangers messages on a broker that works is said in a line, and nothing else is."""

from manager.misfits import alarms, misfits

_GOOD = {"name": "operations.a", "type": "quorum", "policy": "streamboss.backlog.a"}
_BACKLOG = {"max-length": 10}


def test_what_we_make_is_no_misfit_and_what_others_make_is_none_of_ours() -> None:
    theirs = {"name": "theirs", "type": "classic", "policy": "short"}
    policies = {"streamboss.backlog.a": _BACKLOG, "short": {"message-ttl": 1}}
    assert misfits([_GOOD, theirs], policies) == []


def test_queues_that_are_no_quorum_queues_are_named() -> None:
    queues = [{"name": f"operations.{n}", "type": "classic"} for n in range(5)]
    (line,) = misfits(queues, {})
    assert line.startswith("'operations.0', 'operations.1', 'operations.2' and 2 more: no quorum")
    assert "delete it when it is empty" in line


def test_policies_that_lose_messages_are_named_and_others_are_not() -> None:
    queue = {"name": "subscriptions.s.all", "type": "quorum", "policy": "p", "operator_policy": "o"}
    policies: dict[str, dict[str, object]]
    policies = {"p": {"queue-leader-locator": "balanced"}, "o": {"expires": 1, "message-ttl": 1}}
    (line,) = misfits([queue], policies)
    assert line.startswith("policy 'o' (expires, message-ttl) holds for 'subscriptions.s.all'")


def test_alarms_are_said_by_node() -> None:
    quiet = {"name": "rabbit@a", "mem_alarm": False, "disk_free_alarm": False}
    short = {"name": "rabbit@b", "mem_alarm": True, "disk_free_alarm": True}
    (line,) = alarms([quiet, short])
    assert line.startswith("the broker (rabbit@b) is short of memory and disk: it takes nothing")
