"""How S3 is reached, and where outputs go that became objects. Data; talking is `objects`' part."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

#: Larger outputs become objects, where a bucket for them is set.
THRESHOLD_BYTES = 1024 * 1024
#: What the keys of archives begin with.
ARCHIVES = "archives/"
#: The CA of an S3 server of one's own, in PEM.
CA_VARIABLE = "AWS_CA_BUNDLE"
#: boto3's own variables; the service's endpoint comes before the general one.
_VARIABLES = {
    "endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "ca_file": (CA_VARIABLE,),
}
#: A list that allows nothing: no bucket is called that, and an empty one allows all.
NO_BUCKETS = ("",)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class S3Access:
    """An S3 server and a login there. What is None is found by boto3's own chain."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    #: whose certificates count; None: those of the CAs that boto3 and the system know
    ca_file: str | None = None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "S3Access":
        """Return what boto3's own variables say."""
        return cls(
            **{
                part: next((env[name] for name in names if env.get(name)), None)
                for part, names in _VARIABLES.items()
            }
        )

    def seen_from(self, services_host: str | None) -> "S3Access":
        """Return how a machine reaches the same server, if it is on its manager's own computer."""
        parts = urlsplit(self.endpoint_url or "")
        if services_host is None or parts.hostname not in _LOOPBACK:
            return self
        port = f":{parts.port}" if parts.port else ""
        return replace(self, endpoint_url=f"{parts.scheme}://{services_host}{port}{parts.path}")

    def environment(self) -> dict[str, str]:
        """Return the variables that say this."""
        values = {names[0]: getattr(self, part) for part, names in _VARIABLES.items()}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """What an operator needs of S3: how to fetch references, and where large outputs go.

    Without a bucket, or with a threshold of 0, an output never becomes an object.
    """

    access: S3Access = field(default_factory=S3Access)
    bucket: str | None = None
    threshold_bytes: int = THRESHOLD_BYTES
    #: where archives are: a reference leads nobody to another stream's
    archive_bucket: str | None = None
    #: the only buckets that references may name, beside that of outputs; empty: any
    buckets: tuple[str, ...] = ()
    #: the server's CA, in PEM: a file's path would be of no use on another machine
    ca: str | None = None

    def granted(self, buckets: Collection[str] | None) -> "ObjectStore":
        """Return what an operation gets whose owner may read these buckets; None: an admin's.

        What the settings name is open to everybody. An admin's operations read everywhere else,
        too, where the settings name nothing.
        """
        if buckets is None and not self.buckets:
            return self
        allowed = sorted({*self.buckets, *(buckets or ())})
        return replace(self, buckets=tuple(allowed) or NO_BUCKETS)

    def objection(self, bucket: str, key: str) -> str | None:
        """Say why an operator, whose login may read it, mustn't fetch this object; None: it may."""
        if bucket == self.archive_bucket and key.startswith(ARCHIVES):
            return "an object reference into the archives: replay them instead"
        if self.buckets and bucket not in {*self.buckets, self.bucket}:
            return (
                f"an object reference to bucket {bucket!r}, which the operation's owner may not"
                " read: an admin grants it"
            )
        return None
