"""The manager's expected failures; `manager/api/problems.py` gives each one its HTTP status."""

import math
from collections.abc import Sequence

from streams.errors import StreamsError

_SHOWN = 10


class NotFoundError(StreamsError):
    """There is no such thing, or not for this user."""


class ConflictError(StreamsError):
    """What is there forbids it: it exists with other values, or is in use."""


class UnauthorizedError(StreamsError):
    """Nobody we know: no login, or a wrong one."""


class ThrottledError(StreamsError):
    """Too many wrong logins: the next one has to wait, in seconds."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = math.ceil(pause_s)
        super().__init__(f"too many attempts: try again in {self.pause_s} s")


class ForbiddenError(StreamsError):
    """Somebody we know, who may not do this."""


class InvalidError(StreamsError):
    """A request with problems; `problems` holds one line for each, the field's name first."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class StoreUnavailableError(StreamsError):
    """The database doesn't answer. Waiting may help."""


class NoAnswerError(StreamsError):
    """A node was asked and said nothing in time."""


class BackupError(StreamsError):
    """A backup that can't be made, or a file that is none that can be used."""


def listed(kind: str, names: Sequence[str]) -> str:
    """Return `operation 'a'` or `operations 'a', 'b'`; the first ten by name."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{kind}{'' if len(names) == 1 else 's'} {shown}{more}"
