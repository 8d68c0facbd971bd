"""What a replay would play: counted, and nothing published."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from manager.replays.playback import Playback, playback_of
from manager.replays.request import Position, ReplayRequest
from streams.objects import Objects
from tools.counts import count
from tools.times import shown

#: How soon to ask again for a segment that isn't there yet.
_ASK_S = 0.02


@dataclass
class Count:
    """How many messages, of which time in us since 1970, and how many bytes."""

    messages: int = 0
    bytes: int = 0
    first_us: int | None = None
    last_us: int | None = None
    repeats: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, us: int, size: int) -> None:
        """Count one more."""
        self.messages += 1
        self.bytes += size
        self.first_us = us if self.first_us is None else min(self.first_us, us)
        self.last_us = us if self.last_us is None else max(self.last_us, us)

    def as_json(self) -> Mapping[str, Any]:
        """Return it as JSON has it."""
        return {
            "messages": self.messages,
            "bytes": self.bytes,
            "first": None if self.first_us is None else shown(self.first_us),
            "last": None if self.last_us is None else shown(self.last_us),
            "repeats": self.repeats,
            "problems": self.problems,
        }

    def __str__(self) -> str:
        span = ""
        if self.first_us is not None and self.last_us is not None:
            span = f", published {shown(self.first_us)} to {shown(self.last_us)}"
        return f"{count(self.messages, 'message')}, {count(self.bytes, 'byte')}{span}"


def counted(
    objects: Objects,
    bucket: str,
    request: ReplayRequest,
    position: Position | None,
    say: Callable[[str], None],
) -> Count:
    """Read what `request` wants, and nothing beyond it.

    Raises:
        ObjectError: S3 refuses, or was away for too long.
    """
    playback = playback_of(objects, bucket, request, position, say)
    try:
        found = _counted(playback, request.limit)
    finally:
        playback.close()
    found.repeats, found.problems = playback.repeats, playback.problems
    return found


def _counted(playback: Playback, limit: int | None) -> Count:
    found = Count()
    for entry in playback.entries:
        if entry is None:
            time.sleep(_ASK_S)
            continue
        found.add(entry.time_us, len(entry.message.body))
        if found.messages == limit:
            break
    return found
