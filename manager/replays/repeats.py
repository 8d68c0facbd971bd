"""Records that were stored twice, because the archiver ended between storing and acknowledging."""

from streams.archive import Record

#: In so many segments before its own a record may have been stored already.
REACH_SEGMENTS = 2


class Repeats:
    """Remembers the records of a segment and of those before it, by hash: 100 bytes each."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: list[set[int]] = []

    def next_segment(self) -> None:
        """Say that the records that follow are another segment's."""
        self._before = [*self._before, self._now][-REACH_SEGMENTS:]
        self._now = set()

    def is_repeat(self, record: Record) -> bool:
        """Say whether an earlier segment holds the same record; remember it."""
        # 64 bits, keyed anew in each process: among millions, two that differ never meet
        known = hash(
            (
                record.message_id,
                record.body,
                record.content_type,
                frozenset(record.headers.items()),
                record.json_headers,
            )
        )
        self._now.add(known)
        return any(known in earlier for earlier in self._before)
