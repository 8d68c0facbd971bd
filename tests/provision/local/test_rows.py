"""What podman's rows mean."""

from datetime import UTC, datetime, timedelta

import pytest
from libcloud.compute.types import NodeState

from provision.drivers.local import labels, machines

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEVER = -62135596800  # podman's word for it


@pytest.mark.parametrize(
    ("said", "age_s", "started", "state"),
    [
        ("created", 1, False, NodeState.PENDING),
        ("initialized", 59, False, NodeState.PENDING),
        ("created", 61, False, NodeState.ERROR),  # whoever made it was killed
        ("created", 86400, True, NodeState.STOPPED),  # this computer was restarted
        ("running", 1, True, NodeState.RUNNING),
        ("exited", 1, True, NodeState.STOPPED),
        ("paused", 1, True, NodeState.SUSPENDED),
        ("something new", 1, True, NodeState.UNKNOWN),
    ],
)
def test_the_state_of_a_machine(said: str, age_s: float, started: bool, state: NodeState) -> None:
    created = (NOW - timedelta(seconds=age_s)).timestamp()
    row = {"State": said, "Created": created, "StartedAt": created if started else NEVER}
    assert machines.state(row, NOW) is state


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("agent-1", "agent-1"),
        ("My App_1", "my-app-1"),
        ("--ü--", "machine"),
        ("x" * 100, "x" * 63),
        ("", "machine"),
    ],
)
def test_any_name_makes_a_host_name(name: str, hostname: str) -> None:
    assert machines.hostname(name) == hostname


@pytest.mark.parametrize(
    ("names", "image_id"),
    [
        (["localhost/streamboss/image:img-1"], "img-1"),
        (["docker.io/library/x:1", "localhost/streamboss/image:img-2"], "img-2"),
        (["localhost/streamboss/images:img-3"], ""),
        (None, ""),
    ],
)
def test_an_image_is_known_by_its_name(names: list[str] | None, image_id: str) -> None:
    assert labels.image_id({"Names": names}) == image_id
