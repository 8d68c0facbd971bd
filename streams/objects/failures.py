"""What boto3 raises, as our errors: one line, what is wrong, where, what to do. Pure."""

import re
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from streams import tls
from streams.access import CA_VARIABLE
from streams.errors import (
    ObjectDamagedError,
    ObjectError,
    ObjectLoginError,
    ObjectMissingError,
    ObjectRefusedError,
    ObjectsUnreachableError,
)

_URL = re.compile(r"( to the| from| on)? endpoint URL: \"[^\"]*\"")
_LOGIN = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_LATER = {
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
_NO_LOGIN = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
)
_SILENT = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    ResponseParserError,
    HTTPError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call was about."""

    place: str
    bucket: str
    key: str | None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"bucket '{self.bucket}'"


def translated(error: Exception, subject: Subject) -> ObjectError | None:
    """Return the failure as ours, or None: not one of S3 or the way there."""
    if isinstance(error, boto.ClientError):
        return _answer(error, subject)
    if isinstance(error, _NO_LOGIN):
        return ObjectLoginError(
            f"no login for {subject.place}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, _SILENT):
        return _silence(error, subject)
    if isinstance(error, ValueError) and "endpoint" in str(error):
        return ObjectLoginError(
            f"{subject.place}: not an address; AWS_ENDPOINT_URL_S3 must look like http://host:port"
        )
    if isinstance(error, boto.BotoCoreError):
        return ObjectRefusedError(f"{subject}: {_short(error)}")
    return None


def _silence(error: Exception, subject: Subject) -> ObjectError:
    if isinstance(error, boto.SSLError) and (why := tls.problem(error, variable=CA_VARIABLE)):
        return ObjectLoginError(f"{subject.place}: {why}")
    return ObjectsUnreachableError(
        f"{subject.place} can't be reached ({_short(error)}): is it up, is the address right?"
    )


def _answer(error: boto.ClientError, subject: Subject) -> ObjectError:
    said = error.response.get("Error", {})
    code = said.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # 501: the server has no such function, and won't have it later
    if code in _LATER or status == 429 or (status >= 500 and status != 501):  # noqa: PLR2004
        return ObjectsUnreachableError(
            f"{subject.place} says 'try again later' ({status} {code}) about {subject}"
        )
    if status == 404:  # noqa: PLR2004
        return _missing(code, subject)
    if status in {412, 416}:
        return ObjectDamagedError(f"{subject} isn't the object that was named: it was replaced")
    return _refusal(code, f"{code or status} {said.get('Message', '')}".strip(), subject)


def _missing(code: str, subject: Subject) -> ObjectError:
    if code == "NoSuchUpload":
        return ObjectsUnreachableError(f"the upload of {subject} was ended by others: start again")
    if code == "NoSuchBucket" or not subject.key:
        return ObjectMissingError(
            f"bucket '{subject.bucket}' doesn't exist in {subject.place}: make it or name another"
        )
    return ObjectMissingError(
        f"{subject} doesn't exist in {subject.place}: it was removed, or its name is wrong"
    )


def _refusal(code: str, said: str, subject: Subject) -> ObjectError:
    if code == "RequestTimeTooSkewed":
        return ObjectLoginError(f"{subject.place} refuses: this machine's clock is wrong, set it")
    if code in _LOGIN:
        return ObjectLoginError(
            f"{subject.place} refuses the login ({code}): check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_REGION"
        )
    if code in {"AccessDenied", "403"}:
        return ObjectRefusedError(
            f"{subject.place} doesn't let this login do that with {subject}: "
            "ask the owner of the bucket for the right to it"
        )
    return ObjectRefusedError(f"{subject.place} refuses {subject}: {said}")


def _short(error: Exception) -> str:
    """Return what boto3 says as one line, without a full stop and without the URL of a request.

    That has a key in it which is another one at each try, and the place is known.
    """
    said = " ".join(_URL.sub("", str(error)).split()) or type(error).__name__
    return said.rstrip(".")[:300]
