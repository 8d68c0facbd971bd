"""Objects stored whole, or in parts of which nothing is left unless they are completed."""

import hashlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from streams.errors import ObjectError, ObjectRefusedError, ObjectsUnreachableError
from streams.objects.connection import Connection
from streams.objects.content import MOST_PARTS, PART_SIZE, SHA256, bare, etag_of
from streams.reference import ObjectReference

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef


@dataclass(frozen=True)
class Target:
    """Where an object is to be stored, and what is said of it there."""

    connection: Connection
    bucket: str
    key: str
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def put(self, data: bytes) -> ObjectReference:
        """Store the whole object in one request."""
        noted = {SHA256: hashlib.sha256(data).hexdigest()}
        with self.connection.calling(self.bucket, self.key) as client:
            answer = client.put_object(
                Bucket=self.bucket, Key=self.key, Body=data, **self._described(noted)
            )
        return self.stored(len(data), answer["ETag"])

    def start(self, part_bytes: int, sha256: str | None = None) -> "Multipart":
        """Begin to store it in parts of that size."""
        noted = {PART_SIZE: str(part_bytes), **({SHA256: sha256} if sha256 else {})}
        with self.connection.calling(self.bucket, self.key) as client:
            answer = client.create_multipart_upload(
                Bucket=self.bucket, Key=self.key, **self._described(noted)
            )
        return Multipart(self, answer["UploadId"])

    def _described(self, noted: Mapping[str, str]) -> dict[str, Any]:
        described: dict[str, Any] = {"Metadata": {**self.metadata, **noted}}
        return {**described, "ContentType": self.content_type} if self.content_type else described

    def stored(self, size: int, etag: str) -> ObjectReference:
        """Return what names the object."""
        return ObjectReference(self.bucket, self.key, size, bare(etag), self.content_type)


@dataclass
class Multipart:
    """Parts on their way; several threads may put different ones."""

    target: Target
    upload_id: str
    _etags: dict[int, str] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def put(self, number: int, data: bytes) -> None:
        """Store part `number`, from 1."""
        if number > MOST_PARTS:
            raise ObjectRefusedError(
                f"s3://{self.target.bucket}/{self.target.key} is too large: S3 takes no more than "
                f"{MOST_PARTS} parts of {len(data)} bytes"
            )
        with self.target.connection.calling(self.target.bucket, self.target.key) as client:
            answer = client.upload_part(
                **self._named(), PartNumber=number, Body=_Body(data, self._stopped)
            )
        self._etags[number] = answer["ETag"]

    def complete(self, size: int) -> ObjectReference:
        """Make the object, of `size` bytes, of its parts."""
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())
        ]
        try:
            with self.target.connection.calling(self.target.bucket, self.target.key) as client:
                answer = client.complete_multipart_upload(
                    **self._named(), MultipartUpload={"Parts": parts}
                )
        except ObjectsUnreachableError:
            # an answer that got lost: a second try finds no upload any more, but the object
            if not self._is_there():
                raise
            return self.target.stored(size, self._etag())
        return self.target.stored(size, answer["ETag"])

    def stop(self) -> None:
        """Have the parts on their way end now: on a slow line they would take their time."""
        self._stopped.set()

    def abort(self) -> None:
        """Leave nothing behind, as far as S3 can be reached; no part may be on its way."""
        with (
            suppress(ObjectError),
            self.target.connection.calling(self.target.bucket, self.target.key) as client,
        ):
            client.abort_multipart_upload(**self._named())

    def _named(self) -> dict[str, Any]:
        return {
            "Bucket": self.target.bucket,
            "Key": self.target.key,
            "UploadId": self.upload_id,
        }

    def _etag(self) -> str:
        """Return the ETag that S3 makes of the parts' ones."""
        return etag_of([bytes.fromhex(bare(etag)) for _, etag in sorted(self._etags.items())])

    def _is_there(self) -> bool:
        with (
            suppress(ObjectError, ValueError),
            self.target.connection.calling(self.target.bucket, self.target.key) as client,
        ):
            found = client.head_object(Bucket=self.target.bucket, Key=self.target.key)
            return bare(found["ETag"]) == self._etag()
        return False


class _Body(BytesIO):
    """A part's bytes, until they are no longer to be sent."""

    def __init__(self, data: bytes, stopped: threading.Event) -> None:
        super().__init__(data)
        self._stopped = stopped

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped.is_set():
            raise _Stopped
        return super().read(size)


class _Stopped(BaseException):
    """Ends a request from within; no Exception, as boto3 would try again after one."""
