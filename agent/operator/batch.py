"""Outputs that leave together, because they are alike in all but their ids and bodies. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

#: Called with the places, in their batch, of outputs that the broker has now.
OnTaken = Callable[[Sequence[int]], None]


@dataclass(slots=True, eq=False)
class Batch:
    """Outputs in their order. An output without an id gets a new one."""

    bodies: Sequence[bytes]
    on_taken: OnTaken
    content_type: str | None
    headers: Mapping[Any, Any] | None = None
    correlation_id: str | None = None
    #: of each; empty: none has one
    ids: Sequence[str | None] = ()

    def singly(self) -> Iterator["Batch"]:
        """Yield each output as a batch of its own."""
        for place, body in enumerate(self.bodies):
            on_taken = partial(self._one_taken, place)
            ids = self.ids[place : place + 1]
            yield replace(self, bodies=[body], ids=ids, on_taken=on_taken)

    def _one_taken(self, place: int, _places: Sequence[int]) -> None:
        self.on_taken([place])
