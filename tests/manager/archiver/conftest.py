"""A place to record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from manager.store import Store
from streams.broker import Session
from streams.settings import Settings
from tests.manager.archiver.recording import Recording
from tests.s3 import S3Server


@pytest.fixture
def recording(
    s3_settings: Settings, s3_server: S3Server, session: Session, tmp_path: Path
) -> Iterator[Recording]:
    """Nothing recorded yet, and no archiver."""
    store = Store(f"sqlite:///{tmp_path}/manager.db")
    made = Recording(s3_settings, s3_server, store, session, tmp_path)
    try:
        yield made
    finally:
        made.stop()
        for service in made.services:
            print(service.log.read_text())  # noqa: T201 - pytest shows it where a test fails
        store.close()
