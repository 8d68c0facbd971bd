"""Where `consume` puts messages: a terminal, a pipe or file, or a folder with a file for each."""

import json
import mimetypes
import os
import re
import secrets
import select
import stat
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streams.broker import EventLoop
from streams.errors import StreamsError
from streams.framing import Framing, encode
from streams.message import Message
from tools import console

#: A pipe that takes anything takes so much without blocking (POSIX's PIPE_BUF on Linux).
_PIECE_BYTES = 4096
#: What could move a terminal's cursor or colours, or beep.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Shape = Callable[[Message], bytes]


class Output:
    """Writes to a descriptor, never waiting for whoever reads it: then nothing else would go on.

    `on_closed` is called when nobody reads it any more.
    """

    def __init__(
        self, loop: EventLoop, fd: int, shape: Shape, *, on_closed: Callable[[], None]
    ) -> None:
        self._loop, self._fd, self._shape = loop, fd, shape
        self._on_closed = on_closed
        self._rest = bytearray()
        #: where each message that isn't written yet ends, counted from the first byte ever
        self._ends: deque[int] = deque()
        self._taken_bytes = self._written_bytes = 0
        self._scheduled = False
        kind = os.fstat(fd).st_mode
        self._file = stat.S_ISREG(kind)
        self._pipe = stat.S_ISFIFO(kind)
        self.on_written: Callable[[int], None] = lambda _number: None
        self._rest_watched = False
        self._watch()

    def write(self, message: Message) -> None:
        """Write a message together with others that came in the same moment."""
        shown = self._shape(message)
        self._rest += shown
        self._taken_bytes += len(shown)
        self._ends.append(self._taken_bytes)
        if not self._scheduled and not self._rest_watched:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        try:
            self._write_some()
        except BlockingIOError:
            pass
        except OSError as error:
            self._close(error)
            return
        written = 0
        while self._ends and self._ends[0] <= self._written_bytes:
            self._ends.popleft()
            written += 1
        self._watch()
        if written:
            self.on_written(written)

    def _write_some(self) -> None:
        size = len(self._rest) if self._file else _PIECE_BYTES
        while self._rest and select.select([], [self._fd], [], 0)[1]:
            number = os.write(self._fd, self._rest[:size])
            del self._rest[:number]
            self._written_bytes += number

    def _watch(self) -> None:
        """Go on when there is room; hear of a pipe's other end closing also while all is quiet."""
        self._rest_watched = bool(self._rest)
        if self._rest_watched:
            self._loop.watch(self._fd, write=self._flush)
        elif self._pipe:
            self._loop.watch(self._fd, read=self._ended)
        else:
            self._loop.unwatch(self._fd)

    def _ended(self) -> None:
        self._close(BrokenPipeError())

    def _close(self, error: OSError) -> None:
        self._loop.unwatch(self._fd)
        self._rest.clear()
        if not isinstance(error, BrokenPipeError):
            raise StreamsError(f"stdout: {error.strerror}")
        self._on_closed()


class Folder:
    """Writes each message to a file of its own, and says its path on stdout."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self.on_written: Callable[[int], None] = lambda _number: None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StreamsError(f"{folder}: {error.strerror}") from None

    def write(self, message: Message) -> None:
        """Write the file whole or not at all."""
        path = self._place(message)
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(message.body)
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise StreamsError(f"{path}: {error.strerror}") from None
        self._say(str(path))
        self.on_written(1)

    def _place(self, message: Message) -> Path:
        """Return where it goes; what came twice goes to the same place."""
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", message.message_id or secrets.token_hex(8))[:100]
        stem = stem.lstrip(".") or "_"
        ending = mimetypes.guess_extension(message.content_type or "") or ""
        number, path = 1, self._folder / f"{stem}{ending}"
        while path.exists() and path.read_bytes() != message.body:
            number += 1
            path = self._folder / f"{stem}-{number}{ending}"
        return path


def plainly(framing: Framing) -> Shape:
    """Return messages as they are, one after another."""
    return lambda message: encode(framing, message.body)


def for_a_terminal(message: Message) -> bytes:
    """Return a message for a person: text without tricks, anything else in a few words."""
    text = console.text_of(message.body)
    if text is None:
        kind = message.content_type or "bytes of no content type"
        return f"({len(message.body):,} bytes, {_harmless(kind)})\n".encode()
    return _harmless(text.removesuffix("\n")).encode() + b"\n"


def as_json(message: Message) -> bytes:
    """Return a message as one line of JSON; a body that isn't text as base64."""
    shown = {
        "message_id": message.message_id,
        "timestamp": message.timestamp,
        "content_type": message.content_type,
        "correlation_id": message.correlation_id,
        "headers": dict(message.headers),
    }
    try:
        shown["body"] = message.body.decode()
    except UnicodeDecodeError:
        shown["body_base64"] = b64encode(message.body).decode()
    return json.dumps(shown, default=str).encode() + b"\n"


def standard(loop: EventLoop, framing: Framing | None, *, on_closed: Callable[[], None]) -> Output:
    """Return stdout, fit for what it is."""
    fd = sys.stdout.fileno()
    shape = (
        for_a_terminal if framing is None and os.isatty(fd) else plainly(framing or Framing.LINES)
    )
    return Output(loop, fd, shape, on_closed=on_closed)


def _harmless(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
