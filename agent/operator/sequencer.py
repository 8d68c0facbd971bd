"""Outputs in the order of their inputs, whatever the order in which they were made. Pure."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Sequencer(Generic[T]):
    """Holds what is early. Places are the whole numbers from `first` on, each settled once."""

    def __init__(self, first: int = 1) -> None:
        self._next = first
        self._early: dict[int, T] = {}

    @property
    def held(self) -> int:
        """How many wait for an earlier one."""
        return len(self._early)

    def settle(self, place: int, value: T) -> list[T]:
        """Say what came of `place`; return what may leave now, in order."""
        if place != self._next:
            self._early[place] = value
            return []
        due = [value]
        self._next += 1
        while self._next in self._early:
            due.append(self._early.pop(self._next))
            self._next += 1
        return due
