"""What one process of `single` writes: kept while it is small, else on its way into S3."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.operator.payload import beginning_type, from_stdout
from agent.operator.storage import Storage, Storing
from streams.message import OBJECT_REFERENCE


@dataclass(frozen=True, slots=True)
class Answer:
    """What to publish: the output, or a reference to it; and how large the output is."""

    body: bytes
    content_type: str | None
    size: int


class Output:
    """Collects until `answer`. An object is stored exactly as it was written.

    `on_full` is called with True when the program should wait, with False when it may go on;
    `on_failed` when the output can't be stored now.
    """

    def __init__(
        self,
        storage: Storage,
        content_type: str | None,
        *,
        on_full: Callable[[bool], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._type = content_type
        self._on_full = on_full
        self._on_failed = on_failed
        self._pieces: list[bytes] = []
        self._storing: Storing | None = None
        self.size = 0

    @property
    def grace(self) -> int:
        """How many bytes it may be larger than an output may: a text's last newline isn't one."""
        return 1 if self._storing is None else 0

    def write(self, data: bytes) -> None:
        """Take more in."""
        self.size += len(data)
        if self._storing is None:
            self._pieces.append(data)
            if self._storage.takes(self.size - self.grace):
                self._store()
        else:
            self._storing.write(data)
        if self._storing is not None and self._storing.full:
            self._on_full(True)  # noqa: FBT003 - a callback's only argument

    def answer(self, then: Callable[[Answer], None]) -> None:
        """Call back with what to publish, when it is stored if it has to be."""
        if self._storing is None:
            body, content_type = from_stdout(b"".join(self._pieces), self._type)
            if not self._storage.takes(len(body)):
                then(Answer(body, content_type, len(body)))
                return
            self._store()
        assert self._storing is not None  # noqa: S101 - for mypy
        self._storing.finish(
            lambda reference: then(Answer(reference.body(), OBJECT_REFERENCE, self.size))
        )

    def drop(self) -> None:
        """Keep nothing of it, here or in S3."""
        self._pieces.clear()
        if self._storing is not None:
            self._storing.abort()

    def _store(self) -> None:
        beginning = b"".join(self._pieces)
        self._pieces.clear()
        self._storing = self._storage.begin(
            beginning_type(beginning, self._type),
            on_room=lambda: self._on_full(False),  # noqa: FBT003 - a callback's only argument
            on_failed=self._on_failed,
        )
        self._storing.write(beginning)
