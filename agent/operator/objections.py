"""What can't be given to a program, whatever it does: found before the program is asked."""

from agent.operator.intake import Item
from agent.operator.spool import Spool
from streams.definition import ProcessDefinition, ProcessType, Replies
from streams.framing import Framing
from streams.message import MAX_INLINE_BYTES

_SEPARATORS = {Framing.LINES: (b"\n", "newline"), Framing.NUL: (b"\0", "NUL")}


class Objections:
    """Says of inputs why one definition's program can't have them; any thread may ask."""

    def __init__(self, definition: ProcessDefinition) -> None:
        service = definition.process_type is ProcessType.SERVICE
        self._framing = definition.framing
        self._framed = service and definition.framing is not Framing.LINES
        #: what may not be inside a message that has one answer
        self._separator = b""
        if service and definition.replies is Replies.ONE:
            self._separator, self._name = _SEPARATORS.get(definition.framing, (b"", ""))

    def to(self, item: Item) -> str | None:
        """Say what is wrong with an input, as far as the message itself shows it, or None."""
        if item.reference is not None:
            return self._too_large(item.size)
        divided = self._separator and self._separator in item.body[:-1]
        return self._divided() if divided else None

    def to_content(self, content: Spool) -> str | None:
        """Say the same of the content of an object; reads it."""
        if self._separator and content.has_inside(self._separator):
            return self._divided()
        return self._too_large(content.size)

    def _divided(self) -> str:
        return (
            f"a message with a {self._name} inside can't have one answer: "
            "use framing netstring or length32"
        )

    def _too_large(self, size: int) -> str | None:
        if not self._framed or size <= MAX_INLINE_BYTES:
            return None
        return (
            f"an object of {size} bytes: a frame ({self._framing}) has {MAX_INLINE_BYTES} at most: "
            "use framing lines or process_type single"
        )
