"""The buckets that a manager's settings name."""

from collections.abc import Iterable

from provision.errors import WaitTimeoutError
from provision.waiting import wait_until
from streams.errors import ObjectsUnreachableError
from streams.objects import Objects

#: A machine's own S3 server starts anew when its certificate is another.
_AWAY_S = 60.0


def make(objects: Objects, buckets: Iterable[str], *, away_s: float = _AWAY_S) -> None:
    """Make the buckets that aren't there; S3 may be away for so many seconds.

    Raises:
        ObjectError: S3 refuses.
        WaitTimeoutError: it stays away; with what it said last.
    """
    said = ""

    def made() -> bool | None:
        nonlocal said
        try:
            for bucket in buckets:
                objects.ensure_bucket(bucket)
        except ObjectsUnreachableError as error:
            said = str(error)
            return None
        return True

    try:
        wait_until(made, what="its buckets are made", timeout_s=away_s, interval_s=1.0)
    except WaitTimeoutError as error:
        raise WaitTimeoutError(f"{error}: {said}") from error
