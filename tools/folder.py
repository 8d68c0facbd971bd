"""Where `consume --output-dir` puts messages: a folder, with a file for each."""

import filecmp
import mimetypes
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from streams.errors import StreamsError
from streams.message import Message
from streams.reference import ObjectReference

_LONGEST_NAME = 100


class Folder:
    """Writes each message, or the object that it names, to a file of its own; says its path."""

    has_room = True

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self.on_written: Callable[[int], None] = lambda _number: None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StreamsError(f"{folder}: {error.strerror}") from None

    def write(self, message: Message) -> None:
        """Write the file whole or not at all."""
        part = self._part()
        try:
            part.write(message.body)
            self._settle(part, message, mimetypes.guess_extension(message.content_type or "") or "")
        except OSError as error:
            self.discard(part)
            raise self._problem(error) from None

    def place_for(self, reference: ObjectReference) -> BinaryIO:  # noqa: ARG002 - every object is wanted
        """Return an empty file for the object's content, without its name yet."""
        return self._part()

    def write_object(
        self,
        message: Message,
        reference: ObjectReference,
        content: BinaryIO | None,
    ) -> None:
        """Give the file its name."""
        assert content  # noqa: S101 - it was wanted
        try:
            self._settle(content, message, _ending(reference))
        except OSError as error:
            self.discard(content)
            raise self._problem(error) from None

    def discard(self, content: BinaryIO) -> None:
        """Drop the file of a message or object that didn't come whole."""
        with suppress(OSError):
            content.close()
        with suppress(OSError):
            Path(content.name).unlink()

    def _part(self) -> BinaryIO:
        try:
            return (self._folder / f".{secrets.token_hex(8)}.part").open("x+b")
        except OSError as error:
            raise self._problem(error) from None

    def _settle(self, part: BinaryIO, message: Message, ending: str) -> None:
        part.close()
        path = self._place(Path(part.name), message, ending)
        Path(part.name).replace(path)
        self._say(str(path))
        self.on_written(1)

    def _place(self, part: Path, message: Message, ending: str) -> Path:
        """Return where it goes; what came twice goes to the same place."""
        stem = _safe(message.message_id or secrets.token_hex(8)).lstrip(".") or "_"
        number, path = 1, self._folder / f"{stem}{ending}"
        while path.exists() and not filecmp.cmp(part, path, shallow=False):
            number += 1
            path = self._folder / f"{stem}-{number}{ending}"
        return path

    def _problem(self, error: OSError) -> StreamsError:
        return StreamsError(f"{self._folder}: {error.strerror}")


def _ending(reference: ObjectReference) -> str:
    """Return how the file's name ends: as the key's does, else as its content type's do."""
    suffix = _safe(PurePosixPath(reference.key).suffix)
    return suffix or mimetypes.guess_extension(reference.content_type or "") or ""


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_LONGEST_NAME]
