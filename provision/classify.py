"""What an exception of libcloud, requests or the system means, and how to say it to a person."""

import re

import requests
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError, LibcloudError, MalformedResponseError
from libcloud.compute.types import KeyPairDoesNotExistError

from provision.errors import Kind, ProvisionError

_CAPACITY = re.compile(
    r"Insufficient\w*Capacity|LimitExceeded|Insufficient\w*Addresses|No valid host"
    r"|[Qq]uota|NotEnoughResources",
)
_RETRY = re.compile(
    r"^(RequestLimitExceeded|Throttl\w*|Internal(Error|Failure)|ServerInternal|Unavailable"
    r"|ServiceUnavailable|DependencyViolation|IncorrectState|IncorrectInstanceState"
    r"|InvalidIPAddress\.InUse)\b"
)
_AUTH = re.compile(
    r"^(AuthFailure|InvalidClientTokenId|SignatureDoesNotMatch|UnauthorizedOperation"
    r"|OptInRequired|RequestExpired|Blocked|PendingVerification)\b"
)
_GONE = re.compile(r"^(\w+\.(NotFound|Unavailable|Unknown)|IdempotentInstanceTerminated)\b")
_BY_STATUS = {401: Kind.AUTH, 403: Kind.AUTH, 404: Kind.GONE, 429: Kind.RETRY}
_SERVER_ERROR = 500
_BY_TYPE: tuple[tuple[type[BaseException], Kind], ...] = (
    (InvalidCredsError, Kind.AUTH),
    (KeyPairDoesNotExistError, Kind.GONE),
    (RateLimitReachedError, Kind.RETRY),
    (MalformedResponseError, Kind.RETRY),
    (requests.exceptions.SSLError, Kind.FATAL),
    (OSError, Kind.RETRY),  # all of requests' are
)
_EXPECTED = (ProvisionError, LibcloudError, BaseHTTPError, OSError)


def classify(error: BaseException) -> Kind:
    """Return what `error` means for whoever made the call."""
    if isinstance(error, ProvisionError):
        return error.kind
    if isinstance(error, BaseHTTPError) and not isinstance(error, RateLimitReachedError):
        return _of_answer(int(error.code), str(error.message or ""))
    return next((kind for types, kind in _BY_TYPE if isinstance(error, types)), Kind.FATAL)


def _of_answer(status: int, text: str) -> Kind:
    if _RETRY.match(text):
        return Kind.RETRY
    if _AUTH.match(text):
        return Kind.AUTH
    if _GONE.match(text):
        return Kind.GONE
    if _CAPACITY.search(text):
        return Kind.CAPACITY
    if status >= _SERVER_ERROR:
        return Kind.RETRY
    return _BY_STATUS.get(status, Kind.FATAL)


def is_expected(error: Exception) -> bool:
    """Say whether a cloud raised `error`: anything else is a bug, and keeps its traceback.

    Many of libcloud's drivers raise `Exception` itself for what a cloud answers.
    """
    return isinstance(error, _EXPECTED) or type(error) is Exception


def reason(error: BaseException) -> str:
    """Return one line for a person. Never an address with its query: user data is in there."""
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "its TLS certificate isn't trusted (ca_file in the inventory names another authority)"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.RequestException):
        return _connection_trouble(error)
    if isinstance(error, MalformedResponseError):
        return "an answer that isn't of this kind of cloud"
    if isinstance(error, InvalidCredsError):
        return f"the credentials are refused ({_one_line(error.value)})"
    text = error.value if isinstance(error, LibcloudError) else str(error)
    return _one_line(text) or type(error).__name__


def failure(cloud: str, doing: str, error: BaseException) -> ProvisionError:
    """Return `error` as one of ours, saying on which cloud and at what it happened."""
    return ProvisionError(f"{cloud}: {doing}: {reason(error)}", classify(error))


def _connection_trouble(error: BaseException) -> str:
    """Return the system's own word for what went wrong, from below requests' layers."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return f"can't be reached: {seen.strerror}"
        inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        seen = getattr(seen, "reason", None) or inner or seen.__cause__ or seen.__context__
    return "the connection broke before an answer came"


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())[:500]
