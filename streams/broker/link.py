"""A connection for one stream: opened again when lost, given up when that can't help."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from streams import names
from streams.backoff import backoff_s
from streams.broker.connection import LoopConnection
from streams.broker.loop import EventLoop
from streams.errors import (
    BrokerError,
    BrokerForbiddenError,
    BrokerRefusedError,
    BrokerUnreachableError,
)

_FIRST_S, _LONGEST_S = 0.2, 4.0
#: A broker that is away for so long won't be back soon.
PATIENCE_S = 300.0


class StreamLink:
    """Calls `on_up` with each new connection on which the stream exists, `on_failed` at the end.

    The first connection comes at once or never; a later one is tried for `PATIENCE_S`. `say` is
    given a line when the broker goes, and when it is back.
    """

    def __init__(
        self,
        loop: EventLoop,
        urls: Sequence[str],
        stream: str,
        *,
        name: str,
        on_up: Callable[[LoopConnection], None],
        on_failed: Callable[[BrokerError], None],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._urls, self._name = loop, urls, name
        self._exchange = names.exchange(stream)
        self._on_up, self._on_failed = on_up, on_failed
        self._say = say
        self._connection: LoopConnection | None = None
        self._closing = False
        #: whether the stream was reached once
        self.known = False
        self._failures = 0
        self._lost_at = 0.0

    @property
    def up(self) -> bool:
        """Whether the stream can be reached just now."""
        return self._connection is not None and self.known and not self._failures

    def open(self) -> None:
        """Connect, and see whether the stream exists."""
        if not self._closing:
            self._connection = LoopConnection(
                self._loop,
                self._urls,
                name=self._name,
                on_ready=self._look,
                on_lost=self._lost,
            )

    def close(self, then: Callable[[], None]) -> None:
        """End it for good; `then` is called when it is closed."""
        self._closing = True
        if self._connection is None:
            then()
        else:
            self._connection.close(then)

    def _look(self) -> None:
        assert self._connection is not None  # noqa: S101 - it just called
        channel = self._connection.channel
        channel.exchange_declare(self._exchange, passive=True, callback=self._came_up)

    def _came_up(self, _frame: Any) -> None:
        assert self._connection is not None  # noqa: S101 - it just called
        if self._failures:
            self._say("the broker is back")
        self.known, self._failures = True, 0
        self._on_up(self._connection)

    def _lost(self, error: BrokerError) -> None:
        self._connection = None
        if self._closing:
            return
        if not self._failures:
            self._lost_at = monotonic()
        self._failures += 1
        passing = isinstance(error, BrokerUnreachableError | BrokerRefusedError)
        forbidden = isinstance(error, BrokerForbiddenError)
        if not self.known or not passing or forbidden or monotonic() - self._lost_at > PATIENCE_S:
            self._on_failed(error)
            return
        if self._failures == 1:
            self._say(f"{error}; trying again for {PATIENCE_S / 60:g} minutes")
        wait_s = backoff_s(self._failures, first_s=_FIRST_S, longest_s=_LONGEST_S)
        self._loop.call_later(wait_s, self.open)
