"""A replay that the manager plays: what was asked, how it stands, how far it is. Plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from manager.replays.request import ReplayRequest


class ReplayState(StrEnum):
    """What a replay does; a person changes between the first two."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


#: A replay in one of these may still play something.
UNFINISHED = frozenset({ReplayState.RUNNING, ReplayState.PAUSED})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is: everything before `position` was confirmed.

    `messages` were played before it and `repeats` left out; `problems` name damaged segments.
    """

    position: str | None = None
    messages: int = 0
    repeats: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay. `reason` says why it failed, or what it waits for."""

    request: ReplayRequest
    owner: str
    state: ReplayState
    created_at: datetime
    ended_at: datetime | None = None
    reason: str = ""
    progress: Progress = Progress()
