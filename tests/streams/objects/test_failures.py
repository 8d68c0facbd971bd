"""What S3 answers, and what it is called."""

import pytest
from botocore import exceptions as boto
from urllib3.exceptions import ProtocolError

from streams.access import S3Access
from streams.errors import (
    ObjectDamagedError,
    ObjectError,
    ObjectLoginError,
    ObjectMissingError,
    ObjectRefusedError,
    ObjectsUnreachableError,
)
from streams.objects import Objects
from streams.objects.failures import Subject, translated
from tests.s3 import S3Server

SUBJECT = Subject("S3 at http://s3.example", "bucket", "key")


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (404, "NoSuchKey", ObjectMissingError, "s3://bucket/key doesn't exist"),
        (404, "NoSuchBucket", ObjectMissingError, "bucket 'bucket' doesn't exist"),
        (404, "404", ObjectMissingError, "doesn't exist"),
        (404, "NoSuchUpload", ObjectsUnreachableError, "start again"),
        (403, "AccessDenied", ObjectRefusedError, "ask the owner"),
        (403, "403", ObjectRefusedError, "ask the owner"),
        (403, "InvalidAccessKeyId", ObjectLoginError, "check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", ObjectLoginError, "check AWS_ACCESS_KEY_ID"),
        (400, "ExpiredToken", ObjectLoginError, "check AWS_ACCESS_KEY_ID"),
        (403, "RequestTimeTooSkewed", ObjectLoginError, "clock"),
        (503, "SlowDown", ObjectsUnreachableError, "try again later"),
        (500, "InternalError", ObjectsUnreachableError, "try again later"),
        (502, "502", ObjectsUnreachableError, "try again later"),
        (429, "TooManyRequests", ObjectsUnreachableError, "try again later"),
        (400, "RequestTimeout", ObjectsUnreachableError, "try again later"),
        (501, "NotImplemented", ObjectRefusedError, "NotImplemented"),
        (400, "EntityTooLarge", ObjectRefusedError, "EntityTooLarge"),
        (412, "PreconditionFailed", ObjectDamagedError, "was replaced"),
        (416, "InvalidRange", ObjectDamagedError, "was replaced"),
    ],
)
def test_an_answer_is_called_what_it_is(
    status: int, code: str, kind: type[ObjectError], says: str
) -> None:
    answer = {
        "Error": {"Code": code, "Message": "No."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    ours = translated(boto.ClientError(answer, "GetObject"), SUBJECT)  # type: ignore[arg-type]
    assert type(ours) is kind
    assert says in str(ours)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boto.EndpointConnectionError(endpoint_url="http://x"), ObjectsUnreachableError),
        (boto.ReadTimeoutError(endpoint_url="http://x"), ObjectsUnreachableError),
        (
            boto.SSLError(endpoint_url="https://x", error=OSError("expired")),
            ObjectsUnreachableError,
        ),
        (ProtocolError("broken"), ObjectsUnreachableError),
        (ConnectionResetError(), ObjectsUnreachableError),
        (boto.NoCredentialsError(), ObjectLoginError),
        (boto.ProfileNotFound(profile="none"), ObjectLoginError),
        (boto.ParamValidationError(report="bad\nname"), ObjectRefusedError),
    ],
)
def test_what_boto3_raises_is_one_line(error: Exception, kind: type[ObjectError]) -> None:
    ours = translated(error, SUBJECT)
    assert type(ours) is kind
    assert "\n" not in str(ours)


def test_a_bug_stays_one() -> None:
    assert translated(KeyError("x"), SUBJECT) is None


@pytest.mark.parametrize(("key_id", "secret"), [("right", "wrong"), ("wrong", "wrong")])
def test_a_wrong_login_is_told_from_a_missing_right(
    s3_server: S3Server, key_id: str, secret: str
) -> None:
    right = s3_server.access
    login = (right.access_key_id if key_id == "right" else key_id, secret)
    objects = Objects(S3Access(right.endpoint_url, right.region, *login))
    for call in (
        lambda: objects.info("bucket", "key"),
        lambda: objects.get("bucket", "key"),
        lambda: objects.put("bucket", "key", b""),
        lambda: list(objects.list("bucket", "")),
        lambda: objects.ensure_bucket("bucket"),
    ):
        with pytest.raises(ObjectLoginError, match="refuses the login") as failed:
            call()
        assert secret not in str(failed.value)
