"""What programs wrote to stderr, on its way to the manager: bounded in memory and in rate."""

from collections import deque
from dataclasses import dataclass, field

#: What one operation may keep waiting, while the broker is away or the rate is used up.
TAIL_LINES = 500
TAIL_CHARACTERS = 64 * 1024
#: What is taken at once: pieces of a few KiB, each of another operation.
PIECE_CHARACTERS = 4 * 1024
PIECES = 20
LINE_CHARACTERS = 2 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of one operation; `dropped` counts those left out before them."""

    operation: str
    lines: tuple[str, ...]
    dropped: int


@dataclass(slots=True)
class _Tail:
    lines: deque[str] = field(default_factory=deque)
    characters: int = 0
    dropped: int = 0

    def add(self, line: str) -> None:
        line = line[:LINE_CHARACTERS]
        self.lines.append(line)
        self.characters += len(line)
        while len(self.lines) > TAIL_LINES or self.characters > TAIL_CHARACTERS:
            self._pop()
            self.dropped += 1

    def take(self) -> tuple[str, ...]:
        taken: list[str] = []
        size = 0
        while self.lines and (not taken or size + len(self.lines[0]) <= PIECE_CHARACTERS):
            taken.append(self._pop())
            size += len(taken[-1])
        return tuple(taken)

    def _pop(self) -> str:
        line = self.lines.popleft()
        self.characters -= len(line)
        return line


class LogBook:
    """The tail of each operation that wasn't sent yet; the oldest lines go first when it is full.

    Whoever takes decides the rate, by taking seldom.
    """

    def __init__(self) -> None:
        self._tails: dict[str, _Tail] = {}

    def __bool__(self) -> bool:
        return bool(self._tails)

    def add(self, operation: str, lines: tuple[str, ...], dropped: int = 0) -> None:
        """Note lines; `dropped` counts those that whoever noted them first left out."""
        tail = self._tails.setdefault(operation, _Tail())
        tail.dropped += dropped
        for line in lines:
            tail.add(line)

    def take(self) -> list[Piece]:
        """Return the next pieces, at most one of each operation, and forget them."""
        pieces: list[Piece] = []
        for operation in list(self._tails)[:PIECES]:
            tail = self._tails.pop(operation)
            dropped, tail.dropped = tail.dropped, 0
            pieces.append(Piece(operation, tail.take(), dropped))
            if tail.lines:
                self._tails[operation] = tail  # at the end: the others come first next time
        return pieces
