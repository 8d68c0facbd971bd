"""The newest message of an archive as an example."""

import pytest

from manager.errors import ConflictError
from manager.replays.newest import newest
from streams.errors import ObjectCancelledError, ObjectMissingError
from streams.settings import Settings
from tests.manager.replays.playing import Archive, numbered


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An empty archive."""
    return Archive(s3_settings)


def test_the_last_message_of_a_segment_is_the_newest(archive: Archive) -> None:
    key = archive.add(numbered(1, 2, 3)).key
    assert newest(archive.objects, archive.bucket, key).body == b"3"
    archive.objects.delete(archive.bucket, [key])
    with pytest.raises(ObjectMissingError):
        newest(archive.objects, archive.bucket, key)


def test_no_example_is_worth_much(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    key = archive.add(numbered(1)).key
    monkeypatch.setattr("manager.replays.newest._MOST_S", -1)
    with pytest.raises(ObjectCancelledError):
        newest(archive.objects, archive.bucket, key)
    monkeypatch.setattr("manager.replays.newest._MOST_BYTES", 10)
    with pytest.raises(ConflictError, match="too large"):
        newest(archive.objects, archive.bucket, key)
