"""How S3 is reached, and where outputs go that became objects. Data; talking is `objects`' part."""

from dataclasses import dataclass, field

#: Larger outputs become objects, where a bucket for them is set.
THRESHOLD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class S3Access:
    """An S3 server and a login there. What is None is found by boto3's own chain."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """What an operator needs of S3: how to fetch references, and where large outputs go.

    Without a bucket, or with a threshold of 0, an output never becomes an object.
    """

    access: S3Access = field(default_factory=S3Access)
    bucket: str | None = None
    threshold_bytes: int = THRESHOLD_BYTES
