"""What a service wrote, on its way to the outbox: large outputs become objects, none overtakes."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.operator.batch import Batch
from agent.operator.outbox import Outbox
from agent.operator.storage import Storage
from streams.message import OBJECT_REFERENCE
from streams.reference import ObjectReference

#: Beyond this, programs wait.
_FULL_BYTES = 16 * 1024 * 1024

Then = Callable[[], None]


@dataclass(slots=True, eq=False)
class _Output:
    #: of one
    batch: Batch
    stored: bool
    under_way: bool = False

    @property
    def size(self) -> int:
        return len(self.batch.bodies[0])


class Outlet:
    """Publishes at once what is small and has nothing before it that is being stored."""

    def __init__(self, outbox: Outbox, storage: Storage) -> None:
        self._outbox = outbox
        self._storage = storage
        self._queue: deque[_Output] = deque()
        self._bytes = 0
        #: called when something left it, and there is room
        self.on_room: Then = lambda: None
        storage.health.on_try = self._store

    @property
    def full(self) -> bool:
        """Whether programs should wait."""
        return self._bytes > _FULL_BYTES

    @property
    def empty(self) -> bool:
        """Whether everything was published."""
        return not self._queue

    def publish(self, batch: Batch) -> None:
        """Publish outputs in their place."""
        large = self._storage.takes(max(map(len, batch.bodies)))
        if not large and not self._queue:
            self._outbox.publish(batch)
            return
        for one in batch.singly():
            output = _Output(one, stored=not self._storage.takes(len(one.bodies[0])))
            self._queue.append(output)
            self._bytes += output.size
        if large:
            self._store()

    def _store(self) -> None:
        """Store what isn't; while S3 doesn't work only the first, when that is due."""
        health = self._storage.health
        for output in self._queue:
            if health.waiting:
                return
            if not output.stored and not output.under_way:
                self._begin(output)
            if health.failed:
                return

    def _begin(self, output: _Output) -> None:
        output.under_way = True
        self._storage.put(
            output.batch.bodies[0],
            output.batch.content_type,
            lambda reference: self._stored(output, reference),
            lambda: self._failed(output),
        )

    def _stored(self, output: _Output, reference: ObjectReference) -> None:
        output.stored = True
        self._bytes -= output.size
        output.batch.bodies = [reference.body()]
        output.batch.content_type = OBJECT_REFERENCE
        self._bytes += output.size
        while self._queue and self._queue[0].stored:
            first = self._queue.popleft()
            self._bytes -= first.size
            self._outbox.publish(first.batch)
        self._store()
        if not self.full:
            self.on_room()

    def _failed(self, output: _Output) -> None:
        output.under_way = False
