"""How S3 is spoken to: one client, its time-outs and retries, and its failures as ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from streams.access import S3Access
from streams.settings import without_password

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECT_S = 5.0
#: A server that says nothing for so long is taken for gone.
READ_S = 30.0
#: boto3's own tries of one request, the first included; a second or two between them.
ATTEMPTS = 3
#: Connections kept for the next request; more than that many at once are made and closed again.
_KEPT = 64
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Connection:
    """One login at one S3 server."""

    def __init__(self, access: S3Access, connections: int) -> None:
        self.connections = connections
        self._access = access
        self._client: S3Client | None = None
        self._making = threading.Lock()

    @property
    def place(self) -> str:
        """Where objects are looked for, fit for an error."""
        url = self._access.endpoint_url
        if not url:
            return "S3 (AWS)"
        return f"S3 at {without_password(url) if '://' in url else url}"

    @contextmanager
    def calling(self, bucket: str, key: str | None = None) -> Iterator["S3Client"]:
        """Give the client; what fails in the block is raised as an ObjectError about that object.

        Only calls of S3 belong in the block: what else may fail is no failure of S3.
        """
        try:
            yield self._made()
        except Exception as error:
            from streams.objects import failures  # noqa: PLC0415 - botocore, 0.2 s

            ours = failures.translated(error, failures.Subject(self.place, bucket, key))
            if ours is None:
                raise
            raise ours from None

    def _made(self) -> "S3Client":
        with self._making:
            if self._client is None:
                self._client = _client(self._access)
            return self._client


def _client(access: S3Access) -> "S3Client":
    from boto3.session import Session  # noqa: PLC0415 - boto3, 0.2 s: only who speaks S3 pays it
    from botocore.config import Config  # noqa: PLC0415

    own = access.endpoint_url is not None
    # A server of one's own is addressed by path: its name resolves, bucket.name doesn't. Checksums
    # only where S3 insists: several servers answer a range with the checksum of the whole object.
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "read_timeout": READ_S,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "max_pool_connections": _KEPT,
        "tcp_keepalive": True,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3": {"addressing_style": "path" if own else "auto"},
    }
    if own and urlsplit(access.endpoint_url).hostname in _LOOPBACK:
        options["proxies"] = {}  # a proxy meant for the outside can't reach this machine
    session = Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        aws_session_token=access.session_token,
        region_name=access.region,
    )
    return session.client(
        "s3",
        region_name=session.region_name or "us-east-1",
        endpoint_url=access.endpoint_url,
        verify=access.ca_file,
        config=Config(**options),
    )
