"""Outputs that are too large for the broker: objects in the bucket that is there for them."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from agent.operator.health import Health
from agent.operator.transfers import Transfers
from streams.access import ObjectStore
from streams.errors import ObjectCancelledError, ObjectError
from streams.message import MAX_INLINE_BYTES, MessageIds
from streams.objects import Objects, Upload
from streams.reference import ObjectReference

#: A program waits when so much of its output waits for a part that is under way.
_WAITING_BYTES = 1024 * 1024


class Storage:
    """Stores what is over the threshold.

    When S3 refuses that, no message is to blame: the bucket is the same for all of them. So it is
    the operation that is failed, until it works again.
    """

    def __init__(
        self, transfers: Transfers, store: ObjectStore, health: Health, operation: str
    ) -> None:
        self._transfers = transfers
        self._operation = operation
        self._ids = MessageIds()
        self.health = health
        self.use(store)

    def use(self, store: ObjectStore) -> None:
        """Store where and from which size on this says."""
        self._store = store
        self.threshold_bytes = min(store.threshold_bytes, MAX_INLINE_BYTES)

    @property
    def missing(self) -> str:
        """Say why outputs can't become objects, or nothing: they can."""
        if not self._store.bucket:
            return "objects need S3 and STREAMBOSS_OBJECT_BUCKET, which is not configured"
        if not self.threshold_bytes:
            return "STREAMBOSS_OBJECT_THRESHOLD=0 lets no output become an object"
        return ""

    def takes(self, size: int) -> bool:
        """Say whether an output of `size` bytes becomes an object."""
        return size > self.threshold_bytes and not self.missing

    def begin(
        self,
        content_type: str | None,
        *,
        on_room: Callable[[], None],
        on_failed: Callable[[], None],
    ) -> "Storing":
        """Begin to store an output whose end isn't known."""
        place, header = self._place(), _header(content_type)
        return Storing(
            self._transfers,
            lambda objects: objects.upload(*place, content_type=header),
            self.health,
            on_room=on_room,
            on_failed=on_failed,
        )

    def put(
        self,
        body: bytes,
        content_type: str | None,
        then: Callable[[ObjectReference], None],
        failed: Callable[[], None],
    ) -> None:
        """Store a whole output."""
        place, header = self._place(), _header(content_type)

        def stored(reference: ObjectReference) -> None:
            self.health.works()
            then(reference)

        def refused(error: ObjectError) -> None:
            self.health.broken(str(error))
            failed()

        self._transfers.do(
            lambda objects: objects.put(*place, body, content_type=header),
            stored,
            refused,
        )

    def _place(self) -> tuple[str, str]:
        """Return bucket and key of one more object."""
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        key = f"outputs/{self._operation}/{day}/{self._ids.next()}"
        return self._store.bucket or "", key


class Storing:
    """One output on its way into S3 while its program still writes.

    `on_room` is called when it was full and isn't any more; `on_failed` once, when it can't be
    stored.
    """

    def __init__(
        self,
        transfers: Transfers,
        open_: Callable[[Objects], Upload],
        health: Health,
        *,
        on_room: Callable[[], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._transfers = transfers
        self._open = open_
        self._health = health
        self._on_room = on_room
        self._on_failed = on_failed
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._busy = self._over = False
        self._then: Callable[[ObjectReference], None] | None = None
        self._upload: Upload | None = None
        #: held by whichever thread talks about the upload: its end waits for what is under way
        self._talking = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether the program should wait."""
        return self._waiting_bytes >= _WAITING_BYTES

    def write(self, data: bytes) -> None:
        """Take more of the output."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._go_on()

    def finish(self, then: Callable[[ObjectReference], None]) -> None:
        """Store what is left, then call back with what to publish."""
        self._then = then
        self._go_on()

    def abort(self) -> None:
        """Leave nothing of it in S3."""
        if not self._over:
            self._over = True
            self._waiting.clear()
            self._transfers.do(lambda _objects: self._abort(), _ignore, _ignore)

    def _go_on(self) -> None:
        if self._busy or self._over:
            return
        if self._waiting:
            self._busy = True
            self._write_on()
        elif self._then is not None:
            self._busy = True
            self._transfers.do(self._finish, self._finished, self._lost)

    def _write_on(self) -> None:
        data, was_full = b"".join(self._waiting), self.full
        self._waiting.clear()
        self._waiting_bytes = 0
        self._transfers.do(lambda objects: self._write(objects, data), self._written, self._lost)
        if was_full:
            self._on_room()

    def _written(self, _nothing: None) -> None:
        self._busy = False
        self._go_on()

    def _finished(self, reference: ObjectReference) -> None:
        self._health.works()
        if self._then is not None and not self._over:
            self._over = True
            self._then(reference)

    def _lost(self, error: ObjectError) -> None:
        if not self._over:
            self.abort()
            self._health.broken(str(error))
            self._on_failed()

    def _write(self, objects: Objects, data: bytes) -> None:
        with self._talking:
            self._opened(objects).write(data)

    def _finish(self, objects: Objects) -> ObjectReference:
        with self._talking:
            return self._opened(objects).finish()

    def _opened(self, objects: Objects) -> Upload:
        if self._over:
            raise ObjectCancelledError("the output isn't wanted any more")
        if self._upload is None:
            self._upload = self._open(objects)
        return self._upload

    def _abort(self) -> None:
        with self._talking:
            if self._upload is not None:
                self._upload.abort()


def _header(content_type: object) -> str | None:
    """Return a content type that S3 can hold; anybody may have published anything."""
    if isinstance(content_type, str) and content_type.isascii() and content_type.isprintable():
        return content_type
    return None


def _ignore(_result: object) -> None:
    """Do nothing: whatever is left over, the bucket's sweep finds."""
