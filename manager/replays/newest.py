"""The newest message of an archive, for somebody who wants an example of what comes."""

import tempfile
import time
from collections import deque

from manager.errors import ConflictError
from streams.archive import message_of, read_segment
from streams.message import Message
from streams.objects import Objects
from streams.reference import ObjectReference

#: An example is worth no more than that.
_MOST_BYTES, _MOST_S = 64 * 1024 * 1024, 5.0


def newest(objects: Objects, bucket: str, key: str) -> Message:
    """Return the last message of a segment.

    Raises:
        ConflictError, ObjectCancelledError: it is too large, or takes too long.
        ObjectError, SegmentDamagedError: it can't be had.
    """
    deadline_s = time.monotonic() + _MOST_S
    if objects.info(bucket, key).size > _MOST_BYTES:
        raise ConflictError("the newest segment of its archive is too large to look for a message")
    with tempfile.TemporaryFile() as file:
        objects.fetch_into(
            ObjectReference(bucket, key), file, cancelled=lambda: time.monotonic() > deadline_s
        )
        last = deque(read_segment(file), maxlen=1)
    if not last:
        raise ConflictError("the newest segment of its archive is empty")
    return message_of(last[0])
