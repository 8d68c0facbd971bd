"""Files without a name, for what is too large to be kept in memory; gone with the process."""

import tempfile
from typing import BinaryIO

from streams.errors import StreamsError


def spool() -> BinaryIO:
    """Return an empty file.

    Raises:
        StreamsError: none can be made.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise unspooled(error) from None


def unspooled(error: OSError) -> StreamsError:
    """Return the error for a file that can't be made or written."""
    return StreamsError(
        f"{tempfile.gettempdir()}: {error.strerror}: set TMPDIR to a folder with room"
    )
