"""Messages in line for a sink: in the order in which they came, each when the sink has room."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import BinaryIO, Protocol

from streams.errors import (
    ObjectError,
    ObjectLoginError,
    ObjectReferenceError,
    ObjectsUnreachableError,
    StreamsError,
)
from streams.message import OBJECT_REFERENCE, Message
from streams.reference import ObjectReference
from tools.fetcher import Fetcher
from tools.spool import spool, unspooled

#: Larger messages wait in a file: a hundred that wait take no more memory than a few.
_KEPT_BYTES = 256 * 1024


class Sink(Protocol):
    """Where messages go. `on_written` is called with how many of them have arrived there."""

    on_written: Callable[[int], None]

    @property
    def has_room(self) -> bool:
        """Whether another message may be given."""

    def write(self, message: Message) -> None:
        """Take a message; arriving may take until later."""

    def place_for(self, reference: ObjectReference) -> BinaryIO | None:
        """Return an empty file for the object's content; None: it isn't wanted."""

    def write_object(
        self, message: Message, reference: ObjectReference, content: BinaryIO | None
    ) -> None:
        """Take an object that is there, with its file.

        Raises:
            StreamsError: it can't be written as it should; its file is still whoever's who asked.
        """

    def discard(self, content: BinaryIO) -> None:
        """Drop the file of an object that didn't come."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    body: BinaryIO | None = None

    @classmethod
    def of(cls, message: Message) -> "_Waiting":
        if len(message.body) <= _KEPT_BYTES:
            return cls(message)
        body = spool()
        try:
            body.write(message.body)
            body.seek(0)
        except OSError as error:
            raise unspooled(error) from None
        return cls(replace(message, body=b""), body)

    def taken(self) -> Message:
        if self.body is None:
            return self.message
        with self.body as body:
            return replace(self.message, body=body.read())


class Line:
    """Gives messages to a sink, and fetches the objects that they name.

    `on_written` is called with how many messages have arrived; `on_lost` with why the oldest one
    that hasn't arrived never will; `on_failed` with what keeps all from going on. Without a fetcher
    references are messages like others.
    """

    def __init__(self, sink: Sink, fetcher: Fetcher | None) -> None:
        self._sink, self._fetcher = sink, fetcher
        sink.on_written = self._note_written
        self._waiting: deque[_Waiting] = deque()
        #: how many messages the sink has that haven't arrived
        self._given = 0
        self._fetching: BinaryIO | None = None
        self._busy = self._advancing = self._stopped = False
        self.on_written: Callable[[int], None] = lambda _number: None
        self.on_lost: Callable[[StreamsError], None] = lambda _error: None
        self.on_failed: Callable[[StreamsError], None] = lambda _error: None

    def write(self, message: Message) -> None:
        """Take a message."""
        at_once = not self._waiting and not self._busy and self._sink.has_room
        if at_once and not self._names_object(message):
            self._given += 1
            self._sink.write(message)
        else:
            self._waiting.append(_Waiting.of(message))
            self._advance()

    def stop(self) -> int:
        """Fetch nothing more; return how many messages are given up: that one, and those behind."""
        kept = self._before_the_next_object()
        given_up = len(self._waiting) - len(kept) + (self._fetching is not None)
        self._waiting = deque(kept)
        self._stopped = True
        if self._fetcher is not None:
            self._fetcher.cancel()
        return given_up

    def close(self) -> None:
        """Leave no half object behind."""
        if self._fetcher is not None and self._fetching is not None:
            self._fetcher.cancel()
            self._fetcher.join()
            self._sink.discard(self._fetching)

    def _before_the_next_object(self) -> list[_Waiting]:
        if self._fetching is not None:
            return []
        return list(takewhile(lambda w: not self._names_object(w.message), self._waiting))

    def _names_object(self, message: Message) -> bool:
        return self._fetcher is not None and message.content_type == OBJECT_REFERENCE

    def _advance(self) -> None:
        if self._advancing:
            return  # a sink that writes at once says so from within
        self._advancing = True
        try:
            while self._waiting and not self._busy and self._sink.has_room:
                is_object = self._names_object(self._waiting[0].message)
                if is_object and self._given:
                    return  # so that what is lost is the oldest, and files are few
                message = self._waiting.popleft().taken()
                if is_object:
                    self._begin(message)
                else:
                    self._given += 1
                    self._sink.write(message)
        finally:
            self._advancing = False

    def _begin(self, message: Message) -> None:
        """Fetch what the message names; until it is given to the sink nothing else is."""
        assert self._fetcher is not None  # noqa: S101 - else it were a message like others
        self._busy = True
        try:
            reference = ObjectReference.parse(message.body)
        except ObjectReferenceError as error:
            self._lose(error)
            return
        content = self._fetching = self._sink.place_for(reference)
        if content is None:
            self._give(message, reference, None)
            return

        def done(error: StreamsError | None) -> None:
            self._fetching = None
            if error is None and not self._stopped:
                self._give(message, reference, content)
                return
            self._sink.discard(content)
            if error is not None and not self._stopped:
                self._end(error)

        self._fetcher.fetch(reference, content, done)

    def _give(self, message: Message, reference: ObjectReference, content: BinaryIO | None) -> None:
        try:
            self._given += 1
            self._busy = False
            self._sink.write_object(message, reference, content)
        except StreamsError as error:
            self._given -= 1
            if content is not None:
                self._sink.discard(content)
            self._lose(error)

    def _end(self, error: StreamsError) -> None:
        if isinstance(error, ObjectsUnreachableError | ObjectLoginError) or not isinstance(
            error, ObjectError
        ):
            self.on_failed(error)
        else:
            self._lose(error)

    def _lose(self, error: StreamsError) -> None:
        self._busy = False
        self.on_lost(error)
        self._advance()

    def _note_written(self, number: int) -> None:
        self._given -= number
        self.on_written(number)
        self._advance()
