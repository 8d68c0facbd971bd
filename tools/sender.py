"""Files onto a stream: each is stored in S3, and only then the reference to it is published."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from streams import names
from streams.broker import Session, topology
from streams.errors import (
    BrokerError,
    ObjectLoginError,
    ObjectMissingError,
    ObjectRefusedError,
    StreamsError,
)
from streams.message import MessageIds
from streams.objects import Objects
from streams.objects.content import SHA256
from streams.reference import ObjectReference
from tools.files import Planned
from tools.link import hinted

#: A broker that was there before a long upload gets time to come back.
_PATIENCE_S = 60.0

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file."""

    reference: ObjectReference
    message_id: str
    #: whether it was sent to S3, rather than there already
    uploaded: bool
    #: whether anybody collects the stream
    collected: bool


class Sender:
    """Puts files into one bucket, and references to them onto one stream."""

    def __init__(
        self, objects: Objects, urls: Sequence[str], stream: str, bucket: str, *, force: bool
    ) -> None:
        self._objects, self._urls = objects, urls
        self._stream, self._bucket = stream, bucket
        self._force = force
        self._ids = MessageIds()

    def prepare(self) -> bool:
        """See that stream and bucket are there; say whether the bucket was made now.

        Raises:
            BrokerError: no such stream, or no broker.
            ObjectError: S3 doesn't let us in.
        """
        with self._session(patience_s=0.0) as session:
            session.call(lambda channel: topology.check_stream(channel, self._stream))
        try:
            return self._objects.ensure_bucket(self._bucket)
        except ObjectLoginError:
            raise
        except ObjectRefusedError:
            return False  # who may do nothing but write can't look: writing tells

    def send(self, file: Planned, on_bytes: OnBytes) -> Sent:
        """Store one file, unless it is there already, and publish its reference.

        Raises:
            ObjectError: it isn't stored, and nothing was published.
            BrokerError: it is stored, but nothing was published.
        """
        found = None if self._force else self._found(file)
        reference = found or self._upload(file, on_bytes)
        message = replace(reference.message(), message_id=self._ids.next())
        try:
            with self._session(_PATIENCE_S) as session:
                collected = session.publish(names.exchange(self._stream), message)
        except BrokerError as error:
            raise BrokerError(
                f"{reference} is stored, but not published: {error};"
                " the same command publishes it without sending it again"
            ) from None
        return Sent(reference, str(message.message_id), found is None, collected)

    def _upload(self, file: Planned, on_bytes: OnBytes) -> ObjectReference:
        try:
            return self._objects.upload_file(
                file.path,
                self._bucket,
                file.key,
                content_type=file.content_type,
                on_bytes=on_bytes,
            )
        except OSError as error:
            raise StreamsError(f"{file.path}: {error.strerror}") from None

    def _found(self, file: Planned) -> ObjectReference | None:
        """Return the object that holds the same already."""
        with suppress(ObjectMissingError, ObjectRefusedError):
            info = self._objects.info(self._bucket, file.key)
            same_kind = file.content_type in {None, info.content_type}
            if same_kind and info.size == file.size and info.metadata.get(SHA256) == _sha256(file):
                return ObjectReference(
                    self._bucket, file.key, info.size, info.etag, file.content_type
                )
        return None

    @contextmanager
    def _session(self, patience_s: float) -> Iterator[Session]:
        # not for the length of an upload: a connection that nobody serves is taken for dead
        try:
            with Session(self._urls, name="stream-file", patience_s=patience_s) as session:
                yield session
        except BrokerError as error:
            raise hinted(error, self._stream) from None


def _sha256(file: Planned) -> str:
    try:
        with file.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise StreamsError(f"{file.path}: {error.strerror}") from None
