"""How many messages of a stream are on their way at once, and when a segment is full."""

from manager.archiver.tape import Tape
from manager.model import Stored

SEGMENT_BYTES = 32 * 1024 * 1024
#: Deliveries on their way at once, at most; fewer where messages are large.
PREFETCH = 8_000
#: What may wait in memory while S3 is asked where the archive goes on.
_EARLY_BYTES = 16 * 1024 * 1024
#: What grows beyond this while another segment is being stored is too much.
_MOST_BYTES = 3 * SEGMENT_BYTES
#: Segments below this size, closed for their number of messages, are small.
_SMALL_BYTES = 2 * 1024 * 1024


class Pace:
    """The prefetch of one stream; it takes effect when its queue is consumed anew."""

    def __init__(self) -> None:
        self.prefetch = PREFETCH

    @property
    def _most_messages(self) -> int:
        """How many messages fill a segment: as many may come while it is stored."""
        return max(1, self.prefetch // 2)

    def is_full(self, tape: Tape) -> bool:
        """Say whether the segment that grows should be closed."""
        if tape.repeating:
            return tape.taken >= self.prefetch
        return tape.segment.size_bytes >= SEGMENT_BYTES or tape.taken >= self._most_messages

    def is_too_much(self, tape: Tape) -> bool:
        """Say whether more came than should be held while another segment is being stored."""
        return self.prefetch > 1 and tape.segment.size_bytes > _MOST_BYTES

    def is_too_much_early(self, waiting_bytes: int) -> bool:
        """Say whether more came than should be held before it is known where it belongs."""
        return self.prefetch > 1 and waiting_bytes > _EARLY_BYTES

    def shrink(self, messages: int, size_bytes: int) -> None:
        """Have less on its way: messages are larger than was thought."""
        self.prefetch = max(1, min(self.prefetch - 1, _EARLY_BYTES * messages // size_bytes))

    def grow_after(self, stored: Stored) -> bool:
        """Have more on its way if a small segment was closed early; say whether that is so."""
        full = stored.next_position - stored.first_position >= self._most_messages
        timid = full and stored.size_bytes < _SMALL_BYTES and self.prefetch < PREFETCH
        if timid:
            self.prefetch = min(PREFETCH, self.prefetch * 4)
        return timid
