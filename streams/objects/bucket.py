"""Buckets: made where there is none, how long they keep what is in them, what was broken off."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from streams.errors import ObjectMissingError, ObjectRefusedError
from streams.objects.connection import Connection

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import LifecycleRuleOutputTypeDef, LifecycleRuleUnionTypeDef

_DEFAULT_REGION = "us-east-1"
#: Takes every rule and follows none, unless an administrator runs workers for that.
_FOLLOWS_NO_RULES = "SeaweedFS"


def ensure(connection: Connection, bucket: str) -> bool:
    """Make the bucket; False: it was there. See `Objects.ensure_bucket`."""
    try:
        with connection.calling(bucket) as client:
            client.head_bucket(Bucket=bucket)
    except ObjectMissingError:
        return _make(connection, bucket)
    except ObjectRefusedError:
        # an answer to HEAD has no body, so it doesn't say what was refused: a list does
        with connection.calling(bucket) as client:
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        raise
    return False


def _make(connection: Connection, bucket: str) -> bool:
    with connection.calling(bucket) as client:
        region: Any = client.meta.region_name
        try:
            if region == _DEFAULT_REGION:
                client.create_bucket(Bucket=bucket)
            else:
                client.create_bucket(
                    Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region}
                )
        except client.exceptions.BucketAlreadyOwnedByYou:
            return False  # somebody was faster
    return True


def expire(connection: Connection, bucket: str, prefix: str, days: int | None) -> bool:
    """Have the server remove what is older; see `Objects.expire`."""
    name = f"streamboss {prefix}"
    try:
        rules = _rules(connection, bucket)
        others: list[LifecycleRuleUnionTypeDef] = [r for r in rules if r.get("ID") != name]
        if days is not None:
            if not _follows_rules(connection, bucket):
                return False
            wanted = _rule(name, prefix, days)
            if wanted not in rules:
                _set_rules(connection, bucket, [*others, wanted])
        elif len(others) < len(rules):
            _set_rules(connection, bucket, others)
    except ObjectRefusedError:
        return False  # no such function, or no right to it
    return True


def _rule(name: str, prefix: str, days: int) -> "LifecycleRuleUnionTypeDef":
    return {
        "ID": name,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
    }


def _rules(connection: Connection, bucket: str) -> "list[LifecycleRuleOutputTypeDef]":
    try:
        with connection.calling(bucket) as client:
            return client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ObjectMissingError:
        return []


def _set_rules(
    connection: Connection, bucket: str, rules: "list[LifecycleRuleUnionTypeDef]"
) -> None:
    with connection.calling(bucket) as client:
        if rules:
            client.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": rules}
            )
        else:
            client.delete_bucket_lifecycle(Bucket=bucket)


def _follows_rules(connection: Connection, bucket: str) -> bool:
    with connection.calling(bucket) as client:
        answer = client.head_bucket(Bucket=bucket)
    server = answer["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return not server.startswith(_FOLLOWS_NO_RULES)


def abort_unfinished(connection: Connection, bucket: str, prefix: str, before: datetime) -> int:
    """End uploads that were begun before that time; see `Objects.abort_unfinished`."""
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    ended = 0
    while True:
        with connection.calling(bucket) as client:
            page = client.list_multipart_uploads(**asked)
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < before:
                    client.abort_multipart_upload(
                        Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    ended += 1
        if not page.get("IsTruncated"):
            return ended
        asked["KeyMarker"] = page["NextKeyMarker"]
        asked["UploadIdMarker"] = page["NextUploadIdMarker"]
