"""Buckets: made where there is none, and how long they keep what is in them."""

from typing import TYPE_CHECKING

from streams.errors import ObjectMissingError
from streams.objects.connection import Connection

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import LifecycleRuleOutputTypeDef, LifecycleRuleUnionTypeDef

_DEFAULT_REGION = "us-east-1"
#: How long parts of uploads that were killed may stay.
_UNFINISHED_DAYS = 2


def ensure(connection: Connection, bucket: str) -> bool:
    """Make the bucket; False: it was there. See `Objects.ensure_bucket`."""
    try:
        with connection.calling(bucket) as client:
            client.head_bucket(Bucket=bucket)
    except ObjectMissingError:
        return _make(connection, bucket)
    return False


def _make(connection: Connection, bucket: str) -> bool:
    with connection.calling(bucket) as client:
        region = client.meta.region_name
        try:
            if region == _DEFAULT_REGION:
                client.create_bucket(Bucket=bucket)
            else:
                client.create_bucket(
                    Bucket=bucket,
                    CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                )
        except client.exceptions.BucketAlreadyOwnedByYou:
            return False  # somebody was faster
    return True


def expire(connection: Connection, bucket: str, prefix: str, days: int) -> bool:
    """Have the server remove what is older; see `Objects.expire`."""
    name = f"streamboss {prefix}"
    rule: LifecycleRuleUnionTypeDef = {
        "ID": name,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UNFINISHED_DAYS},
    }
    others = [other for other in _rules(connection, bucket) if other.get("ID") != name]
    with connection.calling(bucket) as client:
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*others, rule]}
        )
    return True


def _rules(connection: Connection, bucket: str) -> "list[LifecycleRuleOutputTypeDef]":
    try:
        with connection.calling(bucket) as client:
            return client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ObjectMissingError:
        return []
