"""Old segments go, whole ones only; what is younger than asked stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from manager.archiver.spool import Segment
from manager.archiver.sweep import is_old, sweep
from manager.archiver.vault import Vault
from manager.store import Store
from streams.archive import SegmentKey, record_of
from streams.archive.keys import us_of
from streams.message import Message
from streams.objects import ObjectInfo, Objects
from tests.s3 import S3Server

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def vault(s3_server: S3Server, bucket: str, tmp_path: Path) -> Vault:
    return Vault(Objects(s3_server.access), bucket, tmp_path)


def segment_at(arrived: datetime, modified: datetime) -> ObjectInfo:
    key = SegmentKey("s", us_of(arrived), "0").key
    return ObjectInfo(key, 1, "etag", modified, None, {})


def test_a_segment_is_old_when_its_last_record_is() -> None:
    before = NOW - timedelta(days=1)
    second = timedelta(seconds=1)
    assert is_old(segment_at(before - 2 * second, before - second), before)
    assert not is_old(segment_at(before - second, before), before)
    assert not is_old(segment_at(before, before + second), before)


def _store(store: Store, vault: Vault, position: int, arrived: datetime) -> None:
    segment = Segment(vault.folder, "s", position)
    for _ in range(10):
        segment.add(record_of(Message(b"x"), arrived_us=us_of(arrived)))
    segment.close()
    store.note_stored("s", vault.store(segment))


def test_a_sweep_removes_from_the_beginning_and_keeps_the_tally(
    store: Store, vault: Vault, s3_server: S3Server, bucket: str
) -> None:
    with store.created_stream("s", "ada"):
        pass
    with store.begun_archive("s", "ada", passive=False, keep_days=1):
        pass
    now = datetime.now(UTC)
    arrivals = [now - timedelta(days=3), now - timedelta(days=2), now - timedelta(hours=1)]
    for number, arrived in enumerate(arrivals):
        _store(store, vault, number * 10, arrived)
    s3_server.client.put_object(Bucket=bucket, Key="archives/s/notes.txt", Body=b"not ours")
    archive = store.take_sweep()
    assert archive is not None
    # stored just now, whatever their names say: none is old
    assert sweep(store, vault, archive, now) == 0
    tomorrow = now + timedelta(hours=23, minutes=30)
    assert sweep(store, vault, archive, tomorrow) == 0
    assert sweep(store, vault, archive, tomorrow + timedelta(minutes=31)) == 3
    listed = s3_server.client.list_objects_v2(Bucket=bucket, Prefix="archives/")
    assert [item["Key"] for item in listed["Contents"]] == ["archives/s/notes.txt"]
    tally = store.get_archive("s").tally
    assert (tally.segments, tally.messages, tally.next_position) == (0, 0, 30)
    assert tally.first_at is None


def test_what_is_left_is_counted(store: Store, vault: Vault) -> None:
    with store.created_stream("s", "ada"):
        pass
    with store.begun_archive("s", "ada", passive=False, keep_days=1):
        pass
    now = datetime.now(UTC)
    young = now + timedelta(hours=20)  # the archiver's clock was ahead
    _store(store, vault, 0, now)
    _store(store, vault, 10, young)
    archive = store.take_sweep()
    assert archive is not None
    assert sweep(store, vault, archive, now + timedelta(days=1, minutes=1)) == 1
    tally = store.get_archive("s").tally
    assert (tally.segments, tally.messages, tally.first_position) == (1, 10, 10)
    assert tally.first_at == young
