"""What the store holds of streams and operations, read anew only when something happened."""

import time
from collections.abc import Mapping

from manager.model import Operation, Stream
from manager.store import Store

#: Who was killed between a change and its event leaves a change that only this finds.
_AT_LEAST_S = 30.0


class Stored:
    """Belongs to one thread at a time. Whatever people change is an event, so that tells it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._event: int | None = None
        self._until_s = 0.0
        self.streams: Mapping[str, Stream] = {}
        self.operations: Mapping[str, Operation] = {}

    def refresh(self) -> bool:
        """Read what there is, if it may have changed; say whether it was read.

        The number of the event comes first: what is noted after that is seen the next time.
        """
        event, now_s = self._store.last_event(), time.monotonic()
        if event == self._event and now_s < self._until_s:
            return False
        self.streams = {stream.name: stream for stream in self._store.list_streams()}
        self.operations = {each.name: each for each in self._store.list_operations()}
        self._event, self._until_s = event, now_s + _AT_LEAST_S
        return True
