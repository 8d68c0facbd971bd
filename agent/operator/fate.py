"""What becomes of an input whose program failed: another attempt later, or its dead letters."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.operator.dead import Death, dead_headers
from agent.operator.intake import Intake, Item
from agent.operator.outbox import Outbox
from streams.backoff import backoff_s
from streams.broker import EventLoop
from streams.broker.codec import Outgoing
from streams.broker.properties import headers_bytes

#: An input that has ended so many operators has had its chances.
MOST_DELIVERIES = 6
#: The first wait before another attempt.
_FIRST_S = 0.3


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with an input."""

    reason: str
    exit_status: str = ""
    stderr: str = ""
    #: no other attempt could help
    final: bool = False
    #: the operation is to blame, not the moment (EX_TEMPFAIL)
    blamed: bool = True


class Fate:
    """Counts attempts, waits between them, and writes dead letters."""

    def __init__(
        self, loop: EventLoop, intake: Intake, outbox: Outbox, *, retries: int, node: str
    ) -> None:
        self._loop = loop
        self._intake = intake
        self._outbox = outbox
        self._retries = retries
        self._node = node

    def refuse(self, item: Item) -> str | None:
        """Return why this input isn't for any program, or None."""
        if item.deliveries >= MOST_DELIVERIES:
            return f"ended its operator {item.deliveries} times"
        return None

    def failed(self, item: Item, failure: Failure, *, again: Callable[[Item], None]) -> bool:
        """Count a failed attempt; `again` is called when the next one is due, if there is one.

        Returns whether there will be another attempt; if not, the item is buried.
        """
        item.failures += 1
        if failure.final or item.failures > self._retries:
            self.bury(item, failure)
            return False
        if failure.blamed:
            self._outbox.tally.retried += 1
        self._loop.call_later(backoff_s(item.failures, first_s=_FIRST_S), lambda: again(item))
        return True

    def bury(self, item: Item, failure: Failure) -> None:
        """Put an input into the dead letters; it is through when the broker has confirmed that."""
        came = item.properties
        death = Death(
            reason=failure.reason,
            exit_status=failure.exit_status,
            attempts=item.failures,
            node=self._node,
            failed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            stderr=failure.stderr,
        )
        headers: dict[Any, Any] = dead_headers(death, came.headers, headers_bytes)
        properties = Outgoing(
            came.content_type, headers, came.message_id, came.correlation_id, came.timestamp
        )
        self._outbox.bury(properties, item.body, lambda: self._intake.done((item,)))
