"""What the broker says of itself: bindings and consumers, at once by its event exchange.

The exchange lives in the vhost `/` and needs a plugin and the right to read it. Without, the view
is read from the management API, over and over; `live` says which.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from manager.demand import Binding, BrokerView
from streams.broker import BrokerThread, Channel
from streams.errors import BrokerError
from streams.management import Management
from streams.settings import Settings

log = structlog.get_logger()
EVENTS_EXCHANGE = "amq.rabbitmq.event"
_KEYS = (
    "consumer.created",
    "consumer.deleted",
    "binding.created",
    "binding.deleted",
    "queue.deleted",
)
Event = tuple[str, Mapping[str, Any]]


class BrokerWatch:
    """The latest view of one vhost; `on_change` is called, from another thread, when it changes."""

    def __init__(
        self, settings: Settings, management: Management, on_change: Callable[[], None]
    ) -> None:
        self._management = management
        self._on_change = on_change
        self._lock = threading.Lock()
        self._bindings: set[Binding] = set()
        self._consumers: set[tuple[str, str]] = set()
        self._missed: list[Event] | None = None
        self._seeded = threading.Event()
        self._thread = BrokerThread(
            settings.need_amqp(),
            name="streamboss manager: watch",
            on_channel=self._listen,
            vhost="/",
        )

    @property
    def seeded(self) -> bool:
        """Whether the view has been read whole at least once."""
        return self._seeded.is_set()

    @property
    def live(self) -> bool:
        """Whether changes come by themselves; else `refresh` has to be called often."""
        return self._thread.connected

    def start(self) -> None:
        """Listen, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._thread.stop()

    def view(self) -> BrokerView:
        """Return what is known now."""
        with self._lock:
            consumed = Counter(queue for queue, _ in self._consumers)
            return BrokerView(frozenset(self._bindings), consumed)

    def refresh(self) -> None:
        """Read the whole view anew.

        Raises:
            BrokerError: the management API doesn't answer; the old view stays.
        """
        with self._lock:
            self._missed = []
        try:
            bindings = {_binding(item) for item in self._management.bindings() if item["source"]}
            consumers = {_consumer(item) for item in self._management.consumers()}
        except BrokerError:
            with self._lock:
                self._missed = None
            raise
        with self._lock:
            before = (self._bindings, self._consumers)
            self._bindings, self._consumers = bindings, consumers
            for event in self._missed or ():  # they may be newer than what was read
                self._apply(*event)
            self._missed = None
            changed = before != (self._bindings, self._consumers)
        self._seeded.set()
        if changed:
            self._on_change()

    def expect(self, binding: Binding, *, bound: bool) -> None:
        """Take a change that this process made itself in, before its event comes."""
        with self._lock:
            (self._bindings.add if bound else self._bindings.discard)(binding)

    def _listen(self, channel: Channel) -> None:
        """Bind first, then read: what happens in between is among the events."""
        queue = channel.queue_declare("", exclusive=True).method.queue
        for key in _KEYS:
            channel.queue_bind(str(queue), EVENTS_EXCHANGE, key)
        channel.basic_consume(str(queue), self._heard, auto_ack=True)
        self.refresh()

    def _heard(self, _channel: Channel, method: Any, properties: Any, _body: bytes) -> None:
        headers = properties.headers or {}
        if headers.get("vhost") != self._management.vhost:
            return
        with self._lock:
            if self._missed is not None:
                self._missed.append((method.routing_key, headers))
            changed = self._apply(method.routing_key, headers)
        if changed:
            self._on_change()

    def _apply(self, kind: str, headers: Mapping[str, Any]) -> bool:
        before = (len(self._bindings), len(self._consumers))
        match kind:
            case "consumer.created":
                self._consumers.add((headers["queue"], headers["consumer_tag"]))
            case "consumer.deleted":
                self._consumers.discard((headers["queue"], headers["consumer_tag"]))
            case "binding.created" if headers["source_name"]:
                self._bindings.add(_event_binding(headers))
            case "binding.deleted":
                self._bindings.discard(_event_binding(headers))
            case "queue.deleted":
                self._consumers = {c for c in self._consumers if c[0] != headers["name"]}
        return before != (len(self._bindings), len(self._consumers))


def _binding(item: Mapping[str, Any]) -> Binding:
    return Binding(item["source"], item["destination"], item["destination_type"] == "exchange")


def _event_binding(headers: Mapping[str, Any]) -> Binding:
    to_exchange = headers["destination_kind"] == "exchange"
    return Binding(headers["source_name"], headers["destination_name"], to_exchange)


def _consumer(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["queue"]["name"], item["consumer_tag"]
