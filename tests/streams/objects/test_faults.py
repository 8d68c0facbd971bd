"""What must happen when S3, or the way there, fails in each of its manners."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from streams.errors import (
    ObjectCancelledError,
    ObjectDamagedError,
    ObjectMissingError,
    ObjectsUnreachableError,
)
from streams.objects import PART_BYTES, Objects
from streams.reference import ObjectReference
from tests.eventually import eventually
from tests.faults import Fault, FaultyWay
from tests.s3 import S3Server
from tests.streams.objects.processes import environment

CONTENT = os.urandom(PART_BYTES + 100_000)
ALWAYS = float("inf")
Fetch = Callable[[FaultyWay, ObjectReference], bytes]


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> Iterator[str]:
    with s3_server.bucket() as name:
        yield name


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path := tmp_path_factory.mktemp("faults") / "file").write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def stored(s3_server: S3Server, bucket: str, path: Path) -> ObjectReference:
    return Objects(s3_server.access).upload_file(path, bucket, "stored")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.objects.span.RESUMES", 1)
    monkeypatch.setattr("streams.objects.connection.ATTEMPTS", 1)


def fetched(way: FaultyWay, reference: ObjectReference) -> bytes:
    return b"".join(Objects(way.access).fetch(reference))


def fetched_into(way: FaultyWay, reference: ObjectReference) -> bytes:
    file = io.BytesIO()
    Objects(way.access).fetch_into(reference, file)
    return file.read()


either = pytest.mark.parametrize("fetch", [fetched, fetched_into])


@either
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=500),
        Fault(cut_answer=True),
        Fault(cut_after=0),
        Fault(cut_after=1_000_001),
    ],
)
def test_a_fetch_goes_on_where_it_was_disturbed(
    way: FaultyWay, stored: ObjectReference, fault: Fault, fetch: Fetch
) -> None:
    way.inject(fault, method="GET", times=2)
    assert fetch(way, stored) == CONTENT


@pytest.mark.usefixtures("impatient")
@either
@pytest.mark.parametrize("fault", [Fault(cut_after=10), Fault(status=503), Fault(cut_answer=True)])
def test_a_fetch_that_is_always_disturbed_ends(
    way: FaultyWay, stored: ObjectReference, fault: Fault, fetch: Fetch
) -> None:
    way.inject(fault, method="GET", times=ALWAYS)
    with pytest.raises(ObjectsUnreachableError, match=r"S3 at http://127.0.0.1:\d+ (can't|says)"):
        fetch(way, stored)


def test_a_server_that_is_away_for_a_moment_is_asked_again(
    way: FaultyWay, stored: ObjectReference
) -> None:
    fetching = Objects(way.access).fetch(stored)
    begun = next(fetching)
    way.close()
    back = Timer(0.5, way.listen)
    back.start()
    assert begun + b"".join(fetching) == CONTENT
    back.join()


def test_where_connections_are_refused_nothing_is_fetched(
    way: FaultyWay, stored: ObjectReference
) -> None:
    with way.refusing(), pytest.raises(ObjectsUnreachableError, match="is it up"):
        fetched(way, stored)


@pytest.mark.usefixtures("impatient")
@either
def test_a_mute_server_is_left_in_time(
    way: FaultyWay,
    stored: ObjectReference,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.objects.connection.READ_S", 0.2)
    way.inject(Fault(mute=True), times=ALWAYS)
    with pytest.raises(ObjectsUnreachableError, match="timeout"):
        fetch(way, stored)


@pytest.mark.usefixtures("impatient")
@either
def test_a_crawl_counts_as_a_time_out(
    way: FaultyWay,
    stored: ObjectReference,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.objects.span.CRAWL_S", 0.5)
    way.inject(Fault(bytes_per_s=1000), method="GET", times=ALWAYS)
    with pytest.raises(ObjectsUnreachableError, match="less than 16384 bytes"):
        fetch(way, stored)


@either
def test_one_connection_that_crawls_is_replaced(
    way: FaultyWay, stored: ObjectReference, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.objects.span.CRAWL_S", 0.5)
    way.inject(Fault(bytes_per_s=1000), method="GET", times=1)
    assert fetch(way, stored) == CONTENT


@either
@pytest.mark.parametrize("at", [0, PART_BYTES - 1, 99_999])
def test_one_wrong_byte_damages_an_object(
    way: FaultyWay, stored: ObjectReference, at: int, fetch: Fetch
) -> None:
    way.inject(Fault(wrong_at=at), method="GET", times=ALWAYS)
    with pytest.raises(ObjectDamagedError, match="is damaged"):
        fetch(way, stored)


def test_an_object_spoiled_on_its_way_into_a_file_is_fetched_again(
    way: FaultyWay, stored: ObjectReference
) -> None:
    way.inject(Fault(wrong_at=99_999), method="GET")
    assert fetched_into(way, stored) == CONTENT


@either
def test_one_wrong_byte_damages_a_small_object(
    way: FaultyWay, bucket: str, key: str, fetch: Fetch
) -> None:
    client = Objects(way.access)
    reference = client.put(bucket, key, CONTENT[:1000])
    way.inject(Fault(wrong_at=500), method="GET", times=ALWAYS)
    with pytest.raises(ObjectDamagedError, match="is damaged"):
        fetch(way, reference)


def test_an_object_of_others_is_checked_by_its_md5(
    way: FaultyWay, bucket: str, key: str, s3_server: S3Server
) -> None:
    s3_server.client.put_object(Bucket=bucket, Key=key, Body=CONTENT)
    reference = ObjectReference(bucket, key)
    assert fetched(way, reference) == fetched_into(way, reference) == CONTENT
    way.inject(Fault(wrong_at=500), method="GET", times=ALWAYS)
    for fetch in (fetched, fetched_into):
        with pytest.raises(ObjectDamagedError, match="is damaged"):
            fetch(way, reference)


def test_an_object_replaced_while_it_is_fetched_is_damaged(
    way: FaultyWay, bucket: str, key: str, s3_server: S3Server
) -> None:
    s3_server.client.put_object(Bucket=bucket, Key=key, Body=CONTENT)
    way.inject(Fault(cut_after=1_000_000), method="GET")
    fetching = Objects(way.access).fetch(ObjectReference(bucket, key))
    next(fetching)
    s3_server.client.put_object(Bucket=bucket, Key=key, Body=CONTENT[::-1])
    with pytest.raises(ObjectDamagedError, match="was replaced"):
        list(fetching)


def test_an_object_removed_while_it_is_fetched_is_missing(
    way: FaultyWay, bucket: str, key: str, s3_server: S3Server
) -> None:
    s3_server.client.put_object(Bucket=bucket, Key=key, Body=CONTENT)
    way.inject(Fault(cut_after=1_000_000), method="GET")
    fetching = Objects(way.access).fetch(ObjectReference(bucket, key))
    next(fetching)
    s3_server.client.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ObjectMissingError):
        list(fetching)


def test_a_fetch_may_be_given_up(way: FaultyWay, stored: ObjectReference) -> None:
    way.inject(Fault(bytes_per_s=100_000), method="GET", times=ALWAYS)
    came: list[int] = []
    with pytest.raises(ObjectCancelledError, match="was given up"):
        Objects(way.access).fetch_into(
            stored, io.BytesIO(), on_bytes=came.append, cancelled=lambda: bool(came)
        )
    assert sum(came) < len(CONTENT)


def write_all(way: FaultyWay, bucket: str, key: str, path: Path) -> ObjectReference:
    with Objects(way.access).upload(bucket, key) as upload:
        upload.write(path.read_bytes())
        return upload.finish()


def upload_all(way: FaultyWay, bucket: str, key: str, path: Path) -> ObjectReference:
    return Objects(way.access).upload_file(path, bucket, key)


Store = Callable[[], ObjectReference]


@pytest.fixture(params=[write_all, upload_all])
def store(
    request: pytest.FixtureRequest, way: FaultyWay, bucket: str, key: str, path: Path
) -> Store:
    """Store the content under `key`, through the way."""
    return partial(request.param, way, bucket, key, path)


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(cut_request_after=1_000_000), Fault(cut_answer=True)]
)
def test_a_disturbed_upload_stores_everything(
    way: FaultyWay, store: Store, fault: Fault, s3_server: S3Server
) -> None:
    way.inject(fault, method="PUT", times=1)
    reference = store()
    assert b"".join(Objects(s3_server.access).fetch(reference)) == CONTENT
    assert s3_server.unfinished(reference.bucket) == []


def test_a_completion_whose_answer_is_lost_is_one(
    way: FaultyWay, store: Store, s3_server: S3Server
) -> None:
    way.inject(Fault(cut_answer=True), method="POST", contains="uploadId=")
    assert b"".join(Objects(s3_server.access).fetch(store())) == CONTENT


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_that_fails_leaves_nothing(
    way: FaultyWay, store: Store, method: str, s3_server: S3Server, bucket: str
) -> None:
    way.inject(Fault(status=503), method=method, contains="uploadId=", times=ALWAYS)
    with pytest.raises(ObjectsUnreachableError, match="try again later"):
        store()
    assert s3_server.unfinished(bucket) == []


UPLOAD = """
import os, sys
from pathlib import Path
from streams.objects import Objects
from streams.settings import Settings
Objects(Settings.load(os.environ, Path("/")).s3).upload_file(Path(sys.argv[1]), *sys.argv[2:])
"""


def test_an_upload_that_is_interrupted_on_a_slow_line_ends_at_once(
    way: FaultyWay, bucket: str, key: str, path: Path, s3_server: S3Server
) -> None:
    """At 100 kB/s a part takes 80 s."""
    way.inject(Fault(request_bytes_per_s=100_000), method="PUT", times=ALWAYS)
    command = [sys.executable, "-c", UPLOAD, str(path), bucket, key]
    uploading = subprocess.Popen(command, env=environment(way.access), stderr=subprocess.PIPE)
    eventually(lambda: way.count("PUT") == 2)
    uploading.send_signal(signal.SIGINT)
    _, said = uploading.communicate(timeout=15)
    assert (uploading.returncode, b"KeyboardInterrupt" in said) == (-signal.SIGINT, True)
    assert s3_server.unfinished(bucket) == []


def test_a_file_that_changes_while_it_is_uploaded_is_not_stored(
    way: FaultyWay, bucket: str, key: str, tmp_path: Path, s3_server: S3Server
) -> None:
    (path := tmp_path / "file").write_bytes(CONTENT)

    def changes(_: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    client = Objects(way.access)
    with pytest.raises(ObjectDamagedError, match="changed while it was uploaded"):
        client.upload_file(path, bucket, key, on_bytes=changes)
    assert s3_server.unfinished(bucket) == []
    assert list(client.list(bucket, key)) == []
