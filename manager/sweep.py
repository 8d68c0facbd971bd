"""What S3 needn't keep: outputs past their lifetime, and parts of uploads that were killed.

Only what we stored ourselves, told by its key; never what a person put there. Outputs are removed
by the server's own lifecycle rule where it follows one, else here.
"""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog

from streams.backoff import backoff_s
from streams.errors import ObjectError
from streams.objects import Objects
from streams.settings import Settings

log = structlog.get_logger()
OUTPUTS = "outputs/"
ARCHIVES = "archives/"
#: How often; the first time soon after this manager began to lead.
SWEEP_S = 6 * 3600.0
_FIRST_S = 60.0
#: What is still being uploaded is younger: a program's longest answer, a segment's 10 s.
UNFINISHED_DAYS = 7
_AT_ONCE = 1000
_OUTPUT = re.compile(
    r"outputs/(?P<operation>[^/]+)/(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})/[0-9a-f]{8}(-[0-9a-f]{4}){3}"
    r"-[0-9a-f]{12}"
)


class Sweep:
    """A thread that tidies up while this manager leads."""

    def __init__(self, settings: Settings, leads: Callable[[], bool]) -> None:
        self._settings = settings
        self._objects = Objects(settings.s3)
        self._leads = leads
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin, in the background; nothing to do without a bucket."""
        if self._settings.object_bucket or self._settings.bucket:
            self._thread.start()

    def stop(self) -> None:
        """End soon; what is left is found again."""
        self._stopping.set()

    def _run(self) -> None:
        failures = 0
        pause_s = _FIRST_S
        while not self._stopping.wait(pause_s):
            if not self._leads():
                pause_s = _FIRST_S
                continue
            try:
                sweep(self._objects, self._settings, datetime.now(UTC))
                failures, pause_s = 0, SWEEP_S
            except ObjectError as error:
                failures += 1
                pause_s = backoff_s(failures, first_s=_FIRST_S, longest_s=SWEEP_S)
                log.warning("old objects not removed; tried again later", error=str(error))


def sweep(objects: Objects, settings: Settings, now: datetime) -> int:
    """Remove what is no longer needed; return how many objects and uploads.

    Raises:
        ObjectError: S3 doesn't do it.
    """
    removed = 0
    if settings.object_bucket:
        removed += _expire(objects, settings.object_bucket, settings.object_days, now)
    unfinished_before = now - timedelta(days=UNFINISHED_DAYS)
    for bucket, prefix in ((settings.object_bucket, OUTPUTS), (settings.bucket, ARCHIVES)):
        if bucket:
            removed += objects.abort_unfinished(bucket, prefix, unfinished_before)
    if removed:
        log.info("removed what S3 needn't keep", count=removed)
    return removed


def _expire(objects: Objects, bucket: str, days: int | None, now: datetime) -> int:
    if objects.expire(bucket, OUTPUTS, days) or days is None:
        return 0
    old = outdated(objects, bucket, now - timedelta(days=days))
    removed = 0
    while keys := list(islice(old, _AT_ONCE)):
        objects.delete(bucket, keys)
        removed += len(keys)
    return removed


def outdated(objects: Objects, bucket: str, before: datetime) -> Iterator[str]:
    """Give the keys of outputs stored before that time; lists no younger days.

    An output's key is `outputs/<operation>/<YYYY>/<MM>/<DD>/<UUID>`. Other keys aren't ours.
    """
    last_day = f"{before:%Y/%m/%d}"
    after: str | None = ""
    while after is not None:
        found = objects.list(bucket, OUTPUTS, after=after)
        after = None
        for info in found:
            ours = _OUTPUT.fullmatch(info.key)
            if ours and ours["day"] > last_day:
                after = f"{OUTPUTS}{ours['operation']}/:"  # behind this operation's digits
                break
            if ours and info.modified < before:
                yield info.key
