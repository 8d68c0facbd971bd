"""Expected failures of clouds, each of a kind that says what to do about it."""

from collections.abc import Sequence
from enum import StrEnum


class Kind(StrEnum):
    """What a failure means for whoever made the call."""

    RETRY = "retry"  # passes by itself: the same call, a little later
    CAPACITY = "capacity"  # this cloud is full or the quota is: another cloud, or wait long
    GONE = "gone"  # what was named doesn't exist (any more)
    AUTH = "auth"  # the credentials: nothing works until a person does something
    FATAL = "fatal"  # the request itself is wrong


class ProvisionError(Exception):
    """An expected failure: one line for a person, without secrets, and its kind."""

    def __init__(self, text: str, kind: Kind = Kind.FATAL) -> None:
        self.kind = kind
        super().__init__(text)


class InventoryError(ProvisionError):
    """Inventory files with problems; `problems` holds one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class SecretError(ProvisionError):
    """A secret that isn't there, or lies open; names it and never shows it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Kind.AUTH)


class WaitTimeoutError(ProvisionError):
    """What was waited for didn't come within its time."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Kind.RETRY)


class MachineFailedError(ProvisionError):
    """A machine that will never run: waiting for it is useless."""
