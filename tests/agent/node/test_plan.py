"""What the agent does about each difference between wanted and running."""

import pytest

from agent.node.plan import Act, Drain, Restart, Running, Start, plan
from streams.control import Assigned
from streams.definition import ProcessDefinition

CAT = ProcessDefinition(name="Cat", application="any", exec="cat")


def assigned(
    operation: str = "op", revision: int = 1, *, instances: int = 1, draining: bool = False
) -> Assigned:
    return Assigned(
        operation=operation,
        revision=revision,
        definition=CAT,
        input_stream="a",
        output_stream="b",
        instances=instances,
        draining=draining,
        drain_s=7.0,
    )


def running(
    place: int = 1, revision: int = 1, *, draining: bool = False, due: bool = False
) -> Running:
    return Running(place, "op", revision, draining, due)


CASES: dict[str, tuple[list[Assigned], list[Running], list[Act]]] = {
    "nothing wanted, nothing runs": ([], [], []),
    "what is wanted is started": ([assigned()], [], [Start(assigned())]),
    "what runs as wanted is left alone": ([assigned()], [running()], []),
    "what nobody wants drains as it was assigned": ([], [running()], [Drain(1)]),
    "what drains already isn't told again": ([], [running(draining=True)], []),
    "an instance whose process is due gets one": ([assigned()], [running(due=True)], [Restart(1)]),
    "an assignment that drains drains": (
        [assigned(draining=True)],
        [running()],
        [Drain(1, 7.0)],
    ),
    "a new revision waits until the old one has drained": (
        [assigned(revision=2)],
        [running(revision=1)],
        [Drain(1, 7.0)],
    ),
    "and starts no sooner": ([assigned(revision=2)], [running(revision=1, draining=True)], []),
    "wanted again while it drains: started when it is gone": (
        [assigned()],
        [running(draining=True)],
        [],
    ),
    "more instances are started": (
        [assigned(instances=3)],
        [running(1)],
        [Start(assigned(instances=3))] * 2,
    ),
    "of instances too many the youngest drain": (
        [assigned(instances=1)],
        [running(1), running(2), running(3)],
        [Drain(2, 7.0), Drain(3, 7.0)],
    ),
    "one without a process goes before one that works": (
        [assigned(instances=1)],
        [running(1, due=True), running(2)],
        [Drain(1, 7.0)],
    ),
    "instances of a new revision come as old ones go": (
        [assigned(revision=2, instances=2)],
        [running(1, 1, draining=True), running(2, 2)],
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_plan(case: str) -> None:
    wanted, runs, acts = CASES[case]
    assert plan(wanted, runs) == acts


def test_operations_are_planned_apart() -> None:
    wanted = [assigned("new"), assigned("op")]
    places = [running(1), Running(2, "old", 1)]
    assert plan(wanted, places) == [Drain(2), Start(assigned("new"))]
