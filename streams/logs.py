"""What services say on stderr: one line an entry, whatever is in it.

Names, reasons and errors come from foreign clients, programs and other servers: nothing in them may
look like another entry, or command the terminal of whoever reads.
"""

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def to_stderr() -> None:
    """Log to stderr, plainly: a supervisor keeps it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # what it has to say about connections we say once, in our words
    logging.getLogger("pika").setLevel(logging.CRITICAL)


class LineFormatter(logging.Formatter):
    """Escapes what isn't printable; tracebacks keep their lines, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the entry's one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return a traceback."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(f"  {printable(line)}" for line in lines)


def printable(text: str) -> str:
    """Return text in which each letter that isn't printable is escaped, as Python spells it."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
