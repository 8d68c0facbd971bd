"""Operator processes for the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streams.broker import Session
from streams.settings import Settings
from tests.agent.operator.desk import Desk
from tests.agent.operator.store import Store

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(session: Session, settings: Settings, tmp_path: Path) -> Iterator[MakeDesk]:
    """Make a desk for a definition, with its operator started; it has no S3."""
    with _desks(session, settings, tmp_path) as make:
        yield make


@pytest.fixture
def s3_desk(session: Session, s3_settings: Settings, tmp_path: Path) -> Iterator[MakeDesk]:
    """Make a desk whose operator has S3; other `settings` say how."""
    with _desks(session, s3_settings, tmp_path) as make:
        yield make


@pytest.fixture
def store(s3_settings: Settings) -> Store:
    """The bucket of the test's S3 desks."""
    return Store(s3_settings)


@contextmanager
def _desks(session: Session, settings: Settings, folder: Path) -> Iterator[MakeDesk]:
    made: list[Desk] = []

    def make(*, started: bool = True, settings: Settings = settings, **definition: Any) -> Desk:
        made.append(Desk(session, settings, folder / "scratch", **definition))
        if started:
            made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()
