"""Objects on a real server: what is stored is what is fetched, and the rest is refused by name."""

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from types_boto3_s3 import S3Client

from manager import certificates
from streams.access import S3Access
from streams.errors import (
    ObjectDamagedError,
    ObjectLoginError,
    ObjectMissingError,
    ObjectRefusedError,
    ObjectsUnreachableError,
)
from streams.objects import PART_BYTES, Objects
from streams.reference import ObjectReference
from tests.faults import faulty_way
from tests.s3 import S3Server, client_of

SIZES = (0, 1000, PART_BYTES, PART_BYTES + 1)


def test_importing_it_imports_no_boto3() -> None:
    code = "import sys, streams.objects as o; o.Objects; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_what_is_fetched(
    objects: Objects, bucket: str, key: str, size: int
) -> None:
    content = os.urandom(size)
    with objects.upload(bucket, key, content_type="text/plain") as upload:
        for start in range(0, size, 3_000_000):
            upload.write(content[start : start + 3_000_000])
        reference = upload.finish()
    assert reference == ObjectReference(
        bucket, key, size, objects.info(bucket, key).etag, "text/plain"
    )
    assert b"".join(objects.fetch(reference)) == content


@pytest.mark.parametrize("size", SIZES)
def test_a_file_goes_there_and_back(
    objects: Objects, bucket: str, key: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content := os.urandom(size))
    sent: list[int] = []
    reference = objects.upload_file(path, bucket, key, on_bytes=sent.append)
    came: list[int] = []
    with tempfile.TemporaryFile() as file:
        objects.fetch_into(reference, file, on_bytes=came.append)
        assert file.read() == content
    assert (sum(sent), sum(came)) == (size, size)
    assert objects.info(bucket, key).metadata["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["a b", "a+b%20c", "ä/ö?x=1&y#z", "'\"<&>", "x" * 200])
def test_any_key_will_do(objects: Objects, bucket: str, key: str, name: str) -> None:
    reference = objects.put(bucket, f"{key}/{name}", b"hello")
    assert b"".join(objects.fetch(ObjectReference.parse(reference.body()))) == b"hello"
    assert [info.key for info in objects.list(bucket, key)] == [f"{key}/{name}"]


def test_an_object_comes_as_it_is_stored(
    objects: Objects, bucket: str, key: str, client: S3Client
) -> None:
    packed = gzip.compress(b"hello")
    client.put_object(Bucket=bucket, Key=key, Body=packed, ContentEncoding="gzip")
    assert objects.get(bucket, key) == packed


def test_small_things_go_at_once(objects: Objects, bucket: str, key: str) -> None:
    reference = objects.put(bucket, key, b"hello", metadata={"made-by": "us"})
    info = objects.info(bucket, key)
    assert (info.size, info.etag, info.metadata["made-by"]) == (5, reference.etag, "us")
    assert objects.get(bucket, key) == b"hello"


def test_an_upload_that_is_left_leaves_nothing(
    objects: Objects, bucket: str, key: str, client: S3Client
) -> None:
    def broken_off() -> None:
        with objects.upload(bucket, key) as upload:
            upload.write(bytes(2 * PART_BYTES + 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert list(objects.list(bucket, key)) == []
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_another_object_of_that_name_is_no_object(objects: Objects, bucket: str, key: str) -> None:
    first = objects.put(bucket, key, b"first")
    objects.put(bucket, key, b"other")
    with pytest.raises(ObjectDamagedError, match="was replaced"):
        list(objects.fetch(first))
    with pytest.raises(ObjectDamagedError, match="5 bytes, not the 4"):
        list(objects.fetch(ObjectReference(bucket, key, size=4)))


def test_what_isnt_there_is_missing(objects: Objects, bucket: str) -> None:
    for call in (
        lambda: objects.info(bucket, "none"),
        lambda: objects.get(bucket, "none"),
        lambda: objects.get("no-such-bucket", "k"),
        lambda: objects.put("no-such-bucket", "k", b""),
        lambda: list(objects.list("no-such-bucket", "")),
    ):
        with pytest.raises(ObjectMissingError, match="doesn't exist in S3 at http://127"):
            call()


def test_what_s3_refuses_is_refused(objects: Objects, bucket: str) -> None:
    with pytest.raises(ObjectRefusedError, match="Invalid bucket name"):
        objects.put("Not A Bucket!", "k", b"")


def test_without_a_login_nothing_is_asked(aws: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # else boto3 asks 169.254.169.254
    with pytest.raises(ObjectLoginError, match="set AWS_ACCESS_KEY_ID"):
        Objects(S3Access(aws.endpoint_url)).get("bucket", "k")
    with pytest.raises(ObjectLoginError, match="must look like http://host:port"):
        Objects(S3Access("rubbish", None, "key", "secret")).get("bucket", "k")


def test_this_machine_isnt_reached_by_a_proxy(
    access: S3Access, bucket: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Objects(access).put(bucket, key, b"hello").size == 5


def test_where_nobody_listens_it_is_unreachable() -> None:
    with pytest.raises(ObjectsUnreachableError, match="is it up"):
        Objects(S3Access("http://127.0.0.1:1", None, "key", "secret")).get("bucket", "k")


def test_a_server_with_a_ca_of_its_own_is_trusted_by_that_alone(
    s3_server: S3Server, key: str, tmp_path: Path
) -> None:
    with s3_server.bucket() as bucket:
        assert Objects(s3_server.by_tls).put(bucket, key, b"hello").size == 5
        certificates.ensure(tmp_path, ["127.0.0.1"])
        foreign = replace(s3_server.by_tls, ca_file=str(tmp_path / certificates.CA))
        with pytest.raises(ObjectLoginError, match=r"no CA that we know .*: set AWS_CA_BUNDLE"):
            Objects(foreign).get(bucket, key)


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_keys_are_listed_in_their_order(
    objects: Objects, bucket: str, key: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.objects.listing._PAGE", page)
    names = ["o/a", "o/a/b", "o/a-b", "o/a0", "o/a/c/d", "o/a-b/x", "o/b/x", "o/ü", "p"]
    keys = sorted(f"{key}/{name}" for name in names)
    for each in keys:
        objects.put(bucket, each, b"x")
    assert [item.key for item in objects.list(bucket, key)] == keys
    for after in keys:
        assert [item.key for item in objects.list(bucket, f"{key}/o/", after=after)] == [
            each for each in keys if "/o/" in each and each > after
        ]
    objects.delete(bucket, [*keys[1:], "never there"])
    assert [item.key for item in objects.list(bucket, key)] == keys[:1]


def test_a_bucket_is_made_once(objects: Objects) -> None:
    assert objects.ensure_bucket("made-once")
    assert not objects.ensure_bucket("made-once")


def test_a_server_that_follows_rules_gets_one(aws: S3Access) -> None:
    objects = Objects(aws)
    objects.ensure_bucket("lifetimes")
    assert objects.expire("lifetimes", "theirs/", 7)
    assert objects.expire("lifetimes", "outputs/", 7)
    assert objects.expire("lifetimes", "outputs/", 3)
    assert lifetimes(aws, "lifetimes") == {"theirs/": 7, "outputs/": 3}
    assert objects.expire("lifetimes", "outputs/", None)
    assert lifetimes(aws, "lifetimes") == {"theirs/": 7}


def test_a_rule_that_is_there_is_not_set_again(aws: S3Access) -> None:
    with faulty_way(aws) as way:
        objects = Objects(way.access)
        objects.ensure_bucket("rules")
        for _ in range(2):
            assert objects.expire("rules", "outputs/", 3)
        assert way.count("PUT /rules?lifecycle") == 1


def test_a_server_that_only_takes_rules_gets_none(
    s3_server: S3Server,
) -> None:
    with s3_server.bucket() as bucket:
        assert not Objects(s3_server.access).expire(bucket, "outputs/", 3)
        assert Objects(s3_server.access).expire(bucket, "outputs/", None)


def lifetimes(access: S3Access, bucket: str) -> dict[str, int]:
    with closing(client_of(access)) as client:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in rules}
