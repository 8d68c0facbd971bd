"""Operator processes for the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.broker import Session
from streams.settings import Settings
from tests.agent.operator.desk import Desk

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(session: Session, settings: Settings, tmp_path: Path) -> Iterator[MakeDesk]:
    """Make a desk for a definition, with its operator started."""
    made: list[Desk] = []

    def make(*, started: bool = True, **definition: Any) -> Desk:
        made.append(Desk(session, settings, tmp_path / "scratch", **definition))
        if started:
            made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()
