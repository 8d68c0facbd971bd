"""The manager's part for a test."""

from collections.abc import Iterator

import pytest

from streams.settings import Settings
from tests.agent.node.playing import Manager


@pytest.fixture
def manager(settings: Settings) -> Iterator[Manager]:
    played = Manager(settings)
    yield played
    played.close()
