"""Archives as a person asks for them: begun, changed, stopped; and how each one is.

What is recorded is the archiver's part; here are its queue, its row in the store, and its state.
"""

from typing import TYPE_CHECKING, Protocol

from manager.errors import ConflictError
from manager.model import Archive, ArchivePhase, ArchiveState, ArchiveStatus
from streams import names
from streams.access import S3Access
from streams.errors import SettingsError
from streams.message import Message
from streams.settings import Settings

if TYPE_CHECKING:
    from manager.services import Services
    from streams.objects import Objects

_NO_ARCHIVER = (
    "no archiver has taken it yet, the broker keeps what comes:"
    " 'streamboss manager --role archiver' is one"
)


class Place(Protocol):
    """Where archives are stored."""

    def need_bucket(self) -> str:
        """Return the bucket, which exists."""

    def must_hold(self, stream: str) -> None:
        """Do nothing if there is an archive of a stream."""

    def of(self, stream: str) -> str | None:
        """Return where the archive of a stream is; None without a bucket."""

    def stored_since(self, stream: str, since_us: int, *, most: int) -> list[tuple[int, int]]:
        """Return when each of `most` segments began, in us since 1970, and its bytes."""

    def newest(self, key: str) -> Message:
        """Return the last message of a segment."""


class ArchivePlace:
    """The bucket of archives; S3 isn't spoken to before somebody needs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._access: S3Access = settings.s3
        self._objects: Objects | None = None

    def need_bucket(self) -> str:
        """Return the bucket; it is made if there is none and we may.

        Raises:
            ConflictError: none is set; says how to get one.
            ObjectError: it can't be reached, or we may not.
        """
        objects, bucket = self._reached()
        objects.ensure_bucket(bucket)
        return bucket

    def must_hold(self, stream: str) -> None:
        """Do nothing if there is an archive of a stream.

        Raises:
            ConflictError: there is no bucket set; says how to get one.
            ObjectError: there is no archive, or it can't be asked for.
        """
        from manager.replays.selection import must_exist  # noqa: PLC0415 - only who replays pays

        objects, bucket = self._reached()
        must_exist(objects, bucket, stream)

    def of(self, stream: str) -> str | None:
        """Return where the archive of a stream is; None without a bucket."""
        bucket = self._settings.bucket
        return f"s3://{bucket}/archives/{stream}/" if bucket else None

    def stored_since(self, stream: str, since_us: int, *, most: int) -> list[tuple[int, int]]:
        """Return when each of `most` segments began, in us since 1970, and its bytes.

        Raises:
            ConflictError: there is no bucket set.
            ObjectError: it can't be asked.
        """
        from manager.replays.selection import stored_since  # noqa: PLC0415 - as above

        objects, bucket = self._reached()
        return list(stored_since(objects, bucket, stream, since_us, most=most))

    def newest(self, key: str) -> Message:
        """Return the last message of a segment, if that can be had in a moment.

        Raises:
            ConflictError: there is no bucket set, or the segment is too large.
            ObjectError: it can't be fetched.
            SegmentDamagedError: it can't be read.
        """
        from manager.replays.newest import newest  # noqa: PLC0415 - as above

        return newest(*self._reached(), key)

    def _reached(self) -> "tuple[Objects, str]":
        try:
            bucket = self._settings.need_bucket()
        except SettingsError as error:
            raise ConflictError(f"archives need S3: {error}") from None
        if self._objects is None:
            from streams.objects import Objects  # noqa: PLC0415 - only who archives pays for it

            self._objects = Objects(self._access)
        return self._objects, bucket


def begin(
    services: "Services", stream: str, owner: str, *, passive: bool, keep_days: float | None
) -> bool:
    """Begin the archive of a stream, or change it; return whether it is begun now.

    Raises:
        NotFoundError: there is no such stream.
        ConflictError, ObjectError: there is no place for it.
    """
    services.store.get_stream(stream)
    services.runtime.place.need_bucket()
    with services.store.begun_archive(stream, owner, passive=passive, keep_days=keep_days) as begun:
        services.runtime.broker.create_archive(stream)
    services.runtime.poke()
    return begun


def stop(services: "Services", stream: str) -> None:
    """Let nothing more into an archive; its archiver stores what waits, and ends it."""
    with services.store.stopping_archive(stream) as mark:
        if mark is not None:
            services.runtime.broker.end_archive(stream, mark)
    services.runtime.poke()


def status_of(archive: Archive, *, archivers: int, lag_messages: int | None) -> ArchiveStatus:
    """Return how an archive is, from what was asked and who takes its queue. Pure."""
    if archive.phase is ArchivePhase.STOPPED:
        return ArchiveStatus(ArchiveState.STOPPED)
    reason = archive.problem or ("" if archivers else _NO_ARCHIVER)
    if archive.phase is ArchivePhase.STOPPING:
        return ArchiveStatus(ArchiveState.STOPPING, reason or "stores what waits", lag_messages)
    state = ArchiveState.WAITING if reason else ArchiveState.RECORDING
    return ArchiveStatus(state, reason, lag_messages)


def undemanding(archives: list[Archive]) -> frozenset[str]:
    """Return the queues of archives that only record what is made anyway."""
    return frozenset(names.archive_queue(a.stream) for a in archives if a.passive)
