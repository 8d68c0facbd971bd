"""How messages follow one another in a stream of bytes: four framings, both ways. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from streams.errors import FramingError
from streams.message import MAX_INLINE_BYTES


class Framing(StrEnum):
    """The framings that programs and tools may choose."""

    LINES = "lines"
    NUL = "nul"
    NETSTRING = "netstring"
    LENGTH32 = "length32"


_SEPARATOR = {Framing.LINES: b"\n", Framing.NUL: b"\0"}
#: Digits of the longest netstring length that we accept.
_NETSTRING_DIGITS = len(str(MAX_INLINE_BYTES))


def encode(framing: Framing, body: bytes) -> bytes:
    r"""Return `body` as one frame.

    With `lines` every message ends with exactly one newline more than `body` brings, unless it
    ends with one already; a body with newlines inside becomes several frames. With `nul`
    likewise for NUL.
    """
    match framing:
        case Framing.NETSTRING:
            return b"%d:%s," % (len(body), body)
        case Framing.LENGTH32:
            return len(body).to_bytes(4, "big") + body
        case _:
            separator = _SEPARATOR[framing]
            return body if body.endswith(separator) else body + separator


def encode_several(framing: Framing, bodies: Sequence[bytes]) -> bytes:
    """Return `encode` of each, one after the other."""
    separator = _SEPARATOR.get(framing)
    if separator is None:
        return b"".join([encode(framing, body) for body in bodies])
    return b"".join([b if b.endswith(separator) else b + separator for b in bodies])


def encode_pieces(framing: Framing, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `encode` of a body that comes piece by piece and is `size` bytes long in all."""
    match framing:
        case Framing.NETSTRING:
            yield b"%d:" % size
            yield from pieces
            yield b","
        case Framing.LENGTH32:
            yield size.to_bytes(4, "big")
            yield from pieces
        case _:
            separator, piece = _SEPARATOR[framing], b""
            for piece in pieces:
                yield piece
            if not piece.endswith(separator):
                yield separator


class Decoder:
    """Takes bytes as they come and gives whole frames; holds at most one frame unfinished.

    `max_frame_bytes` bounds what is held.
    """

    def __init__(self, framing: Framing, *, max_frame_bytes: int = MAX_INLINE_BYTES) -> None:
        self.framing = framing
        self._max = max_frame_bytes
        self._rest = bytearray()
        #: how far `_rest` has been searched for a separator already
        self._searched = 0
        take: dict[Framing, Callable[[], list[bytes]]] = {
            Framing.NETSTRING: self._netstrings,
            Framing.LENGTH32: self._length32s,
        }
        self._take = take.get(framing, self._separated)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take `data` in and return the frames that it completes, without their framing.

        Raises:
            FramingError: the bytes don't follow the framing, or a frame exceeds the limit.
        """
        self._rest += data
        frames = self._take()
        if len(self._rest) > self._max + _NETSTRING_DIGITS + 2:
            raise FramingError(f"a frame of more than {self._max} bytes ({self.framing})")
        return frames

    def finish(self) -> bytes | None:
        """At the end of the bytes: return a last line that lacks its newline, or None.

        Raises:
            FramingError: the end came in the middle of a `netstring` or `length32` frame.
        """
        if not self._rest:
            return None
        if self.framing not in _SEPARATOR:
            raise FramingError(f"the end came in the middle of a frame ({self.framing})")
        last = bytes(self._rest)
        self._rest.clear()
        self._searched = 0
        return last

    def _separated(self) -> list[bytes]:
        end = self._rest.rfind(_SEPARATOR[self.framing], self._searched)
        if end < 0:
            self._searched = len(self._rest)
            return []
        whole = bytes(self._rest[:end])
        del self._rest[: end + 1]
        self._searched = len(self._rest)
        return whole.split(_SEPARATOR[self.framing])

    def _check(self, length: int) -> None:
        if length > self._max:
            raise FramingError(f"a frame of {length} bytes: {self._max} at most ({self.framing})")

    def _length32s(self) -> list[bytes]:
        frames, start, rest = [], 0, self._rest
        while len(rest) - start >= 4:  # noqa: PLR2004 - the four bytes of the length
            length = int.from_bytes(rest[start : start + 4], "big")
            self._check(length)
            if len(rest) - start - 4 < length:
                break
            frames.append(bytes(rest[start + 4 : start + 4 + length]))
            start += 4 + length
        del rest[:start]
        return frames

    def _netstrings(self) -> list[bytes]:
        frames, start, rest = [], 0, self._rest
        while (colon := rest.find(b":", start, start + _NETSTRING_DIGITS + 1)) >= 0:
            length = self._netstring_length(bytes(rest[start:colon]))
            end = colon + 1 + length
            if len(rest) <= end:
                break
            if rest[end] != ord(","):
                raise FramingError("a netstring doesn't end with ','")
            frames.append(bytes(rest[colon + 1 : end]))
            start = end + 1
        else:
            if len(rest) - start > _NETSTRING_DIGITS:
                raise FramingError("a netstring doesn't begin with its length and ':'")
        del rest[:start]
        return frames

    def _netstring_length(self, digits: bytes) -> int:
        if not digits.isdigit() or (len(digits) > 1 and digits.startswith(b"0")):
            raise FramingError(f"a netstring begins with {digits!r} instead of its length")
        length = int(digits)
        self._check(length)
        return length


def decode_all(framing: Framing, chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the frames of `chunks`, a last line without its newline included."""
    decoder = Decoder(framing)
    for chunk in chunks:
        yield from decoder.feed(chunk)
    last = decoder.finish()
    if last is not None:
        yield last
