"""Old segments are removed, whole ones only, and never one that is younger than asked."""

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import structlog

from manager.archiver.vault import Vault, position_of
from manager.model import Archive
from manager.store import Store
from manager.store.archives import Swept
from streams.archive import SegmentKey
from streams.errors import StreamsError
from streams.objects import ObjectInfo

log = structlog.get_logger()
_ASK_S = 30.0
#: So many are removed, and taken off the tally, at once.
_AT_ONCE = 1000


class Sweeper:
    """Looks for old segments now and then, on a thread of its own."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archiver sweep", daemon=True)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being removed is."""
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(_ASK_S):
            try:
                while not self._stopping.is_set() and (archive := self._store.take_sweep()):
                    sweep(self._store, self._vault, archive, datetime.now(UTC))
            except StreamsError as error:
                log.warning("old segments were not removed", error=str(error))


def sweep(store: Store, vault: Vault, archive: Archive, now: datetime) -> int:
    """Remove the segments of an archive whose every record is too old; return how many."""
    assert archive.keep_days is not None  # noqa: S101 - only such archives are swept
    before = now - timedelta(days=archive.keep_days)
    removed = 0
    for old, first_left in _batches(vault.segments(archive.stream), before):
        vault.delete([info.key for info in old])
        store.note_swept(archive.stream, _swept(old, first_left))
        removed += len(old)
    if removed:
        log.info("old segments removed", stream=archive.stream, segments=removed)
    return removed


def is_old(segment: ObjectInfo, before: datetime) -> bool:
    """Say whether all records of a segment arrived before that time.

    It was stored after its last record had arrived.
    """
    arrived = SegmentKey.parse(segment.key).arrived_at
    return arrived < before and segment.modified < before


def _batches(
    segments: Iterable[ObjectInfo], before: datetime
) -> Iterator[tuple[list[ObjectInfo], ObjectInfo | None]]:
    """Give old segments from the beginning on, some at a time, and the one after them."""
    old: list[ObjectInfo] = []
    for segment in segments:
        if not is_old(segment, before):
            if old:
                yield old, segment
            return
        if len(old) == _AT_ONCE:
            yield old, segment
            old = []
        old.append(segment)
    if old:
        yield old, None


def _swept(old: list[ObjectInfo], first_left: ObjectInfo | None) -> Swept:
    return Swept(
        segments=len(old),
        size_bytes=sum(info.size for info in old),
        first_position=position_of(first_left.key) if first_left else None,
        first_at=SegmentKey.parse(first_left.key).arrived_at if first_left else None,
    )
