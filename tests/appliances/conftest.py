"""One desk for the run, with a local cloud of its own and one image of ours built there."""

from collections.abc import Iterator

import pytest

from tests.appliances.desk import Desk, sat_down


@pytest.fixture(scope="session")
def session_desk() -> Iterator[Desk]:
    """The run's one desk: its images and Python packages are made once."""
    with sat_down() as desk:
        yield desk


@pytest.fixture
def desk(session_desk: Desk) -> Iterator[Desk]:
    """The desk, with no machine left by the test before."""
    yield session_desk
    session_desk.end_machines()


@pytest.fixture(scope="session")
def stream_agent(session_desk: Desk) -> str:
    """The name of our own appliance, built as anybody builds it."""
    session_desk.fab("build_appliance")
    return "stream-agent"
