"""The face of S3: objects and buckets of one server."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from streams.access import S3Access
from streams.errors import ObjectDamagedError, ObjectMissingError, ObjectRefusedError
from streams.objects import bucket as buckets
from streams.objects import download, listing
from streams.objects.connection import Connection
from streams.objects.content import Content, bare
from streams.objects.info import ObjectInfo
from streams.objects.multipart import Target
from streams.objects.upload import Upload, upload_file
from streams.reference import ObjectReference

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

#: S3 deletes no more in one request.
_DELETED_AT_ONCE = 1000


class Objects:
    """One S3 server, seen with one login.

    Every method raises nothing but children of ObjectError, each one line: ObjectMissingError,
    ObjectRefusedError (its child ObjectLoginError where no object at all can be reached),
    ObjectsUnreachableError (after a few tries), ObjectDamagedError; methods that read or write
    local files raise their OSError, too. A file is transferred over `connections` at once.
    """

    def __init__(self, access: S3Access, *, connections: int = 4) -> None:
        self._connection = Connection(access, connections)

    def info(self, bucket: str, key: str) -> ObjectInfo:
        """Return what S3 says about the object."""
        said = self._head(bucket, key)
        return ObjectInfo(
            key=key,
            size=said["ContentLength"],
            etag=bare(said["ETag"]),
            modified=said["LastModified"],
            content_type=said.get("ContentType"),
            metadata=said.get("Metadata", {}),
        )

    def get(self, bucket: str, key: str) -> bytes:
        """Return the content of a small object, checked."""
        return b"".join(self.fetch(ObjectReference(bucket, key)))

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectReference:
        """Store `data` in one request; an object of that key is replaced."""
        return self._target(bucket, key, content_type, metadata).put(data)

    def fetch(
        self, reference: ObjectReference, *, on_bytes: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """Give the object's content in order; `on_bytes` hears how many bytes came each time.

        A reader must not take the last chunk for the end before the iterator has ended: only then
        size and content are known to be right, else ObjectDamagedError is raised.
        """
        content = self._content(reference)
        yield from download.in_order(self._connection, reference, content, on_bytes)

    def fetch_into(
        self,
        reference: ObjectReference,
        file: BinaryIO,
        *,
        on_bytes: Callable[[int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Fetch the object, by parallel parts, into an empty file opened for both ("w+b").

        When it returns, the file holds all of it, checked, and stands at its beginning. Otherwise
        what is in the file is nothing. `on_bytes` is called from other threads, one at a time;
        `cancelled` several times a second.

        Raises:
            ObjectCancelledError: `cancelled` said so.
        """
        content = self._content(reference)
        try:
            download.IntoFile(self._connection, reference, content, file, on_bytes, cancelled).run()
        except ObjectDamagedError:
            # was it the object, or the way? Nobody has seen a byte yet: once more
            download.IntoFile(self._connection, reference, content, file, None, cancelled).run()

    def upload(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Upload:
        """Return an object to write; see `Upload`."""
        return Upload(self._target(bucket, key, content_type, metadata))

    def upload_file(
        self,
        path: Path,
        bucket: str,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> ObjectReference:
        """Store a file by parallel parts, with its SHA-256; on any failure nothing is left.

        Raises:
            ObjectDamagedError: the file changed meanwhile.
        """
        return upload_file(path, self._target(bucket, key, content_type, metadata), on_bytes)

    def list(self, bucket: str, prefix: str, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Give the objects whose keys begin with `prefix` and are larger than `after`, by key.

        Pages are asked for as they are needed.
        """
        return listing.in_order(self._connection, bucket, prefix, after or "")

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects; one that isn't there is no failure.

        Raises:
            ObjectRefusedError: some weren't removed; names one.
        """
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = keys[start : start + _DELETED_AT_ONCE]
            with self._connection.calling(bucket) as client:
                answer = client.delete_objects(
                    Bucket=bucket, Delete={"Objects": [{"Key": k} for k in some], "Quiet": True}
                )
            for failed in answer.get("Errors", []):
                raise ObjectRefusedError(
                    f"s3://{bucket}/{failed.get('Key')} wasn't removed: "
                    f"{failed.get('Code')} {failed.get('Message')}"
                )

    def ensure_bucket(self, bucket: str) -> bool:
        """Make the bucket if it isn't there; True: made now."""
        return buckets.ensure(self._connection, bucket)

    def expire(self, bucket: str, prefix: str, days: int | None) -> bool:
        """Have the server remove objects under `prefix` after so many days; None: never.

        The bucket's other rules stay. False: the server doesn't, or this login may not ask.
        """
        return buckets.expire(self._connection, bucket, prefix, days)

    def abort_unfinished(self, bucket: str, prefix: str, before: datetime) -> int:
        """End uploads in parts under `prefix` that began before that time; return how many."""
        return buckets.abort_unfinished(self._connection, bucket, prefix, before)

    def _target(
        self,
        bucket: str,
        key: str,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
    ) -> Target:
        return Target(self._connection, bucket, key, content_type, metadata or {})

    def _content(self, reference: ObjectReference) -> Content:
        said = self._head(reference.bucket, reference.key)
        content = Content.of(said, said["ContentLength"])
        content.must_be(reference)
        return content

    def _head(self, bucket: str, key: str) -> "HeadObjectOutputTypeDef":
        try:
            with self._connection.calling(bucket, key) as client:
                return client.head_object(Bucket=bucket, Key=key)
        except (ObjectMissingError, ObjectRefusedError):
            # an answer to HEAD has no body, so it says no more than a number: GET says why
            with self._connection.calling(bucket, key) as client:
                client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
            raise
