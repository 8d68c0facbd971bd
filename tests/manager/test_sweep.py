"""What S3 needn't keep is removed, and nothing else."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from manager.sweep import Sweep, sweep
from streams.access import S3Access
from streams.objects import Objects
from streams.settings import Settings
from tests.aws import running_moto
from tests.eventually import eventually
from tests.s3 import S3Server, client_of

UUID = "0199a1b2-c3d4-7000-8000-00000000000"
NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=30)


def output(operation: str, at: datetime, number: int) -> str:
    return f"outputs/{operation}/{at:%Y/%m/%d}/{UUID}{number}"


OLD = [
    output("op", NOW - timedelta(days=400), 1),
    output("op", NOW, 2),
    output("op-2", NOW, 3),
    output("zz", NOW, 4),
]
KEPT = sorted(
    [
        output("op", NOW + timedelta(days=25), 5),
        output("op-2", NOW + timedelta(days=25), 6),
        f"outputs/op/{NOW:%Y/%m/%d}/mine.txt",
        "outputs/mine.txt",
        f"uploads/op/{NOW:%Y/%m/%d}/{UUID}7",
        "mine.txt",
    ]
)


@pytest.fixture
def objects(s3_access: S3Access, bucket: str) -> Objects:
    objects = Objects(s3_access)
    for key in [*OLD, *KEPT]:
        objects.put(bucket, key, b"x")
    return objects


def keys(objects: Objects, bucket: str) -> list[str]:
    return [info.key for info in objects.list(bucket, "")]


def test_outputs_past_their_lifetime_go_and_nothing_else(objects: Objects, bucket: str) -> None:
    settings = Settings(object_bucket=bucket, object_days=10)
    assert sweep(objects, settings, NOW) == 0
    assert sweep(objects, settings, LATER) == len(OLD)
    assert keys(objects, bucket) == KEPT
    assert sweep(objects, settings, LATER) == 0


def test_without_a_lifetime_nothing_goes(objects: Objects, bucket: str) -> None:
    assert sweep(objects, Settings(object_bucket=bucket), LATER) == 0
    assert keys(objects, bucket) == sorted([*OLD, *KEPT])


def test_parts_of_killed_uploads_go_after_a_week(s3_server: S3Server, bucket: str) -> None:
    objects = Objects(s3_server.access)
    ours = [output("op", NOW, 1), "archives/s/2026/01/01/segment.avro"]
    for key in [*ours, "mine"]:
        s3_server.client.create_multipart_upload(Bucket=bucket, Key=key)
    settings = Settings(object_bucket=bucket, bucket=bucket)
    assert sweep(objects, settings, NOW + timedelta(days=6)) == 0
    assert sweep(objects, settings, NOW + timedelta(days=8)) == 2
    assert s3_server.unfinished(bucket) == ["mine"]


@pytest.fixture
def aws() -> Iterator[S3Access]:
    with running_moto() as access:
        yield access


def test_where_the_server_follows_rules_it_removes_them(aws: S3Access) -> None:
    objects = Objects(aws)
    objects.ensure_bucket("outputs")
    objects.expire("outputs", "theirs/", 5)
    objects.put("outputs", OLD[0], b"x")
    settings = Settings(object_bucket="outputs", object_days=10)
    assert sweep(objects, settings, LATER) == 0
    assert rules(aws) == {"theirs/": 5, "outputs/": 10}
    sweep(objects, Settings(object_bucket="outputs"), LATER)
    assert rules(aws) == {"theirs/": 5}


def rules(access: S3Access) -> dict[str, int]:
    with closing(client_of(access)) as client:
        found = client.get_bucket_lifecycle_configuration(Bucket="outputs")["Rules"]
    return {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in found}


def test_only_who_leads_removes_anything(
    objects: Objects, s3_access: S3Access, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manager.sweep._FIRST_S", 0.01)
    asked: list[bool] = []

    def leads() -> bool:
        asked.append(len(asked) >= 3)
        return asked[-1]

    settings = Settings(s3=s3_access, object_bucket=bucket, object_days=0)
    running = Sweep(settings, leads)
    running.start()
    eventually(lambda: not set(keys(objects, bucket)) & set(OLD[1:]))
    running.stop()
    assert asked == [False, False, False, True]
