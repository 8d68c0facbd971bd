"""What can't be given to a program, whatever it does: found before the program is asked."""

from agent.operator.intake import Item
from agent.operator.spool import Spool
from streams.definition import ProcessDefinition, ProcessType, Replies
from streams.framing import Framing
from streams.message import MAX_INLINE_BYTES

_SEPARATORS = {Framing.LINES: (b"\n", "newline"), Framing.NUL: (b"\0", "NUL")}


def objection(definition: ProcessDefinition, item: Item) -> str | None:
    """Say why an input can't be given to the program, as far as the message itself shows it."""
    if definition.process_type is ProcessType.SINGLE:
        return None
    if item.reference is not None:
        return _too_large(definition, item.size)
    separator = _separator(definition)
    return _divided(definition) if separator and separator in item.body[:-1] else None


def objection_to(definition: ProcessDefinition, content: Spool) -> str | None:
    """Say the same of the content of an object; reads it."""
    if definition.process_type is ProcessType.SINGLE:
        return None
    separator = _separator(definition)
    if separator and content.has_inside(separator):
        return _divided(definition)
    return _too_large(definition, content.size)


def _separator(definition: ProcessDefinition) -> bytes:
    """Return what may not be inside a message that has one answer, if anything."""
    one = definition.replies is Replies.ONE
    return _SEPARATORS[definition.framing][0] if one and definition.framing in _SEPARATORS else b""


def _divided(definition: ProcessDefinition) -> str:
    return (
        f"a message with a {_SEPARATORS[definition.framing][1]} inside can't have one answer: "
        "use framing netstring or length32"
    )


def _too_large(definition: ProcessDefinition, size: int) -> str | None:
    framing = definition.framing
    if framing is Framing.LINES or size <= MAX_INLINE_BYTES:
        return None
    return (
        f"an object of {size} bytes: a frame ({framing}) has {MAX_INLINE_BYTES} at most: "
        "use framing lines or process_type single"
    )
