"""All recorders of one archiver, on one loop and one connection."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from manager.archiver.clerk import Clerk
from manager.archiver.jobs import Jobs
from manager.archiver.recorder import Means, Recorder
from manager.archiver.vault import Vault
from manager.model import ArchivePhase
from manager.store import Store
from streams.backoff import backoff_s
from streams.broker import EventLoop, LoopConnection
from streams.errors import BrokerError, StreamsError

log = structlog.get_logger()
#: What all streams together may have on disk that isn't on its way to S3 yet.
SPOOL_BYTES = 1024 * 1024 * 1024
#: How long an end may take: after that, what isn't stored comes again.
_END_S = 10.0
_TICK_S = 0.25
_FIRST_S, _LONGEST_S = 0.2, 15.0


class Archiver:
    """Records every archive that the store names, until it is told to stop."""

    def __init__(
        self, urls: Sequence[str], store: Store, vault: Vault, *, loop: EventLoop | None = None
    ) -> None:
        self._urls = tuple(urls)
        self.loop = loop or EventLoop()
        self._clerk = Clerk(store, urls, lambda seen: self.loop.call_soon(partial(self._see, seen)))
        self._means = Means(self.loop, Jobs(self.loop), vault, self._clerk)
        self._recorders: dict[str, Recorder] = {}
        self._connection: LoopConnection | None = None
        self._failures = 0
        self._end_s: float | None = None

    def run(self) -> None:
        """Record until `stop`, and store what there is then."""
        self._clerk.start()
        self._connect()
        self._tick()
        try:
            self.loop.run()
        finally:
            self._means.jobs.close()
            for recorder in self._recorders.values():
                recorder.let_go()
            self._clerk.stop()

    def stop(self) -> None:
        """Take nothing more, store what there is, and end; at once if that takes too long."""
        if self._end_s is None:
            self._end_s = time.monotonic() + _END_S
            for recorder in self._recorders.values():
                recorder.finish()

    # ---- the connection

    def _connect(self) -> None:
        self._connection = LoopConnection(
            self.loop,
            self._urls,
            name="streamboss archiver",
            on_ready=self._ready,
            on_lost=self._lost,
        )

    def _ready(self) -> None:
        self._failures = 0
        self._means.connection = self._connection
        for recorder in self._recorders.values():
            recorder.take_up()

    def _lost(self, error: BrokerError) -> None:
        self._means.connection = None
        for recorder in self._recorders.values():
            recorder.let_go()
        if not self._failures:
            log.warning("the broker is away", error=str(error))
        self._failures += 1
        wait_s = backoff_s(self._failures, first_s=_FIRST_S, longest_s=_LONGEST_S)
        self.loop.call_later(wait_s, self._connect)

    # ---- what is to be archived

    def _see(self, wanted: Mapping[str, ArchivePhase]) -> None:
        """Record what is wanted, and no more."""
        if self._end_s is not None:
            return
        for stream in self._recorders.keys() - wanted.keys():
            self._recorders.pop(stream).let_go()
        for stream in wanted.keys() - self._recorders.keys():
            recorder = self._recorders[stream] = Recorder(stream, self._means)
            if self._means.connection is not None:
                recorder.take_up()

    def _tick(self) -> None:
        for recorder in self._recorders.values():
            recorder.tick()
        self._keep_within_bounds()
        if self._end_s is not None and self._may_end():
            self._close()
            return
        self.loop.call_later(_TICK_S, self._tick)

    def _keep_within_bounds(self) -> None:
        """Let the largest go until the rest has room; its messages are the broker's again."""
        total = sum(recorder.spooled_bytes for recorder in self._recorders.values())
        while total > SPOOL_BYTES:
            largest = max(self._recorders.values(), key=lambda recorder: recorder.spooled_bytes)
            total -= largest.spooled_bytes
            largest.let_go(StreamsError("the archiver's disk has too much that waits for S3"))

    def _may_end(self) -> bool:
        assert self._end_s is not None  # noqa: S101 - only asked at the end
        idle = all(recorder.idle for recorder in self._recorders.values())
        return idle or time.monotonic() > self._end_s

    def _close(self) -> None:
        if self._connection is None or self._means.connection is None:
            self.loop.stop()
        else:
            self._connection.close(self.loop.stop)
