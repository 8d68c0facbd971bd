"""The agent's line to the manager: one broker connection, opened again for ever."""

import logging
import secrets
from collections.abc import Callable
from typing import Any

from agent.node.config import AgentConfig
from streams import names
from streams.backoff import backoff_s
from streams.broker import Delivered, EventLoop, LoopConnection
from streams.broker.properties import to_properties
from streams.control import assignment_key
from streams.errors import BrokerError, BrokerRefusedError
from streams.message import Message

log = logging.getLogger(__name__)

_FIRST_S = 0.2
#: A broker that is away: look again well within the time after which we would be `lost`.
_LONGEST_S = 4.0
#: A broker that refuses us: waiting seldom helps, but our user may be on its way.
_LONGEST_REFUSED_S = 30.0
_PREFETCH = 10
#: So many messages without a confirm, and nothing more is sent: the line hangs.
_UNCONFIRMED = 200


class Link:
    """The connection on which assignments come and heartbeats go.

    Each time it is opened it is another incarnation, a random id: so the manager says again what
    went to a queue that was lost with its line, and no dead line holds up the next (half-open).
    """

    def __init__(
        self,
        loop: EventLoop,
        config: AgentConfig,
        *,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_assignment: Callable[[bytes], None],
    ) -> None:
        self.incarnation = _incarnation()
        self._loop, self._config = loop, config
        self._on_up, self._on_down, self._on_assignment = on_up, on_down, on_assignment
        self._connection: LoopConnection | None = None
        self._failures = 0
        self._last_problem = ""
        self._closing = False
        self._blocked = False
        self._sent = self._confirmed = 0
        self.up = False

    @property
    def can_send(self) -> bool:
        """Whether the line is there and takes something: memory for what waits is bounded."""
        if not self.up or self._connection is None or not self._connection.is_open:
            return False
        return not self._blocked and self._sent - self._confirmed < _UNCONFIRMED

    @property
    def flushed(self) -> bool:
        """Whether the broker has all that was sent, or there's no line."""
        return not self.up or self._confirmed >= self._sent

    def open(self) -> None:
        """Connect; from then on reconnect whenever the line is lost."""
        self.incarnation = _incarnation()
        self._blocked = False
        self._sent = self._confirmed = 0
        self._connection = LoopConnection(
            self._loop,
            self._config.amqp_urls,
            name=f"agent {self._config.name}",
            on_ready=self._declare,
            on_lost=self._lost,
        )
        self._connection.on_confirm = self._note_confirm
        self._connection.on_blocked = self._note_blocked

    def publish(self, routing_key: str, body: bytes) -> None:
        """Send to the manager, while `can_send`."""
        assert self._connection is not None  # noqa: S101 - `can_send` says so
        properties = to_properties(Message(body, content_type="application/json"))
        self._sent = self._connection.publish(names.CONTROL_EXCHANGE, routing_key, properties, body)

    def close(self, then: Callable[[], None]) -> None:
        """End the line for good; `then` is called when it is closed."""
        self._closing = True
        self.up = False
        if self._connection is None:
            then()
        else:
            self._connection.close(then)

    def _declare(self) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - it just called
        queue = names.agent_queue(self._config.name, self.incarnation)

        def bind(_frame: Any) -> None:
            connection.channel.queue_bind(
                queue,
                names.CONTROL_EXCHANGE,
                routing_key=assignment_key(self._config.name),
                callback=consume,
            )

        def consume(_frame: Any) -> None:
            connection.consume(
                queue, self._delivered, prefetch=_PREFETCH, on_cancelled=self._cancelled
            )
            self._came_up()

        connection.channel.queue_declare(queue, exclusive=True, auto_delete=True, callback=bind)

    def _came_up(self) -> None:
        self.up = True
        self._failures = 0
        self._last_problem = ""
        assert self._connection is not None  # noqa: S101 - it came up
        self._connection.watch_confirms(self._oldest)
        log.info("connected to the broker, incarnation %s", self.incarnation)
        self._on_up()

    def _delivered(self, delivered: Delivered) -> None:
        assert self._connection is not None  # noqa: S101 - it delivered
        self._connection.ack(delivered.tag)
        self._on_assignment(delivered.body)

    def _cancelled(self) -> None:
        """Somebody deleted our queue: begin anew."""
        if self._connection is not None and self.up:
            self._connection.close()
            self._lost(BrokerError("broker: the agent's queue was deleted"))

    def _oldest(self) -> int | None:
        return self._confirmed + 1 if self._confirmed < self._sent else None

    def _note_confirm(self, number: int, _multiple: bool, _taken: bool) -> None:  # noqa: FBT001
        self._confirmed = max(self._confirmed, number)

    def _note_blocked(self, blocked: bool) -> None:  # noqa: FBT001
        self._blocked = blocked

    def _lost(self, error: BrokerError) -> None:
        was_up, self.up = self.up, False
        self._connection = None
        if self._closing:
            return
        self._failures += 1
        refused = isinstance(error, BrokerRefusedError)
        longest_s = _LONGEST_REFUSED_S if refused else _LONGEST_S
        delay_s = backoff_s(self._failures, first_s=_FIRST_S, longest_s=longest_s)
        if str(error) != self._last_problem:  # once, not at each try
            self._last_problem = str(error)
            log.warning("%s; trying again, next in %.1f s", error, delay_s)
        self._loop.call_later(delay_s, self._reopen)
        if was_up:
            self._on_down()

    def _reopen(self) -> None:
        if not self._closing:
            self.open()


def _incarnation() -> str:
    return secrets.token_hex(8)
