"""What the broker says of itself: bindings and consumers, at once by its event exchange.

The exchange lives in the vhost `/` and needs a plugin and the right to read it. Without, the view
is read from the management API, over and over; `live` says which.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from manager.demand import Binding, BrokerView
from manager.misfits import OURS
from streams import names
from streams.broker import BrokerThread, Channel
from streams.management import Management
from streams.settings import Settings

EVENTS_EXCHANGE = "amq.rabbitmq.event"
_KEYS = (
    "consumer.created",
    "consumer.deleted",
    "binding.created",
    "binding.deleted",
    "queue.deleted",
    "exchange.deleted",
    "permission.deleted",
)
#: The management API shows a consumer up to one statistics interval (5 s) late.
API_LAG_S = 6.0
NEWS_S = 3 * API_LAG_S


@dataclass(frozen=True, slots=True)
class Consumer:
    """Somebody who takes messages from a queue.

    Events name the channel by its process, the management API by its addresses: nothing ties the
    two. And many clients give all their workers the same tag. So equal ones are counted.
    """

    queue: str
    tag: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding with its routing key: the path is there while one of its keys is."""

    path: Binding
    routing_key: str = ""


Fact = Bound | Consumer


class BrokerWatch:
    """The latest view of one vhost; `on_change` is called, from another thread, when it changes."""

    def __init__(
        self, settings: Settings, management: Management, on_change: Callable[[], None]
    ) -> None:
        self._management = management
        self._on_change = on_change
        self._lock = threading.RLock()
        self._facts = Counter[Fact]()
        #: what the facts come to, until one of them changes
        self._view: BrokerView | None = None
        #: what events said lately: fact -> (when, how many there are)
        self._news: dict[Fact, tuple[float, int]] = {}
        self._read_s: float | None = None
        #: something may be gone that the manager made: a queue, an exchange, a right
        self.loss = threading.Event()
        self._whole = threading.Event()
        self._thread = BrokerThread(
            settings.need_amqp(),
            name="streamboss manager: watch",
            on_channel=self._listen,
            vhost="/",
        )

    @property
    def seeded(self) -> bool:
        """Whether the view has been read at least once."""
        return self._read_s is not None

    @property
    def whole(self) -> bool:
        """Whether nothing can be missing: read once more after the API's lag."""
        return self._whole.is_set()

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
            self._view = self._view or _view(self._facts)
            return self._view

    def refresh(self) -> None:
        """Read the whole view anew; what events said lately is newer than what is read.

        Raises:
            BrokerError: the management API doesn't answer; the old view stays.
        """
        bindings = (_binding(item) for item in self._management.bindings() if item["source"])
        facts = Counter[Fact](map(_consumer, self._management.consumers()))
        facts.update(dict.fromkeys(bindings, 1))
        now_s = time.monotonic()
        with self._lock:
            before = self._facts
            self._news = {f: n for f, n in self._news.items() if now_s - n[0] < NEWS_S}
            self._facts, self._view = facts, None
            for fact, (_, count) in self._news.items():
                self._set(fact, count)
            changed = before != self._facts
        if self._read_s is None:
            self._read_s = now_s
        elif now_s - self._read_s >= API_LAG_S:
            self._whole.set()
        if changed:
            self._on_change()

    def learn(self, path: Binding, *, holds: bool) -> None:
        """Take a change in that this process made itself, before its event comes."""
        self._note(Bound(path), int(holds))

    def _note(self, fact: Fact, count: int) -> None:
        with self._lock:
            changed = self._facts[fact] != count
            self._set(fact, count)
            self._news[fact] = (time.monotonic(), count)
        if changed:
            self._on_change()

    def _set(self, fact: Fact, count: int) -> None:
        self._view = None
        if count > 0:
            self._facts[fact] = count
        else:
            del self._facts[fact]

    def _listen(self, channel: Channel) -> None:
        """Bind first, then read: what happens in between is among the events."""
        queue = str(channel.queue_declare("", exclusive=True).method.queue)
        for key in _KEYS:
            channel.queue_bind(queue, EVENTS_EXCHANGE, key)
        channel.basic_consume(queue, self._heard, auto_ack=True)
        # what came and went while nobody listened is known for sure only after the API's lag
        self.loss.set()
        self._read_s = None
        self._whole.clear()
        self.refresh()

    def _heard(self, _channel: Channel, method: Any, properties: Any, _body: bytes) -> None:
        headers = properties.headers or {}
        if headers.get("vhost") != self._management.vhost:
            return
        kind, _, happened = method.routing_key.partition(".")
        if _is_loss(kind, happened, headers):
            self.loss.set()
            self._on_change()
        if kind in {"queue", "exchange"}:
            # its consumers and bindings go with it, and no event of their own tells
            with self._lock:
                gone = [f for f in self._facts if _is_of(f, headers["name"], kind)]
            for fact in gone:
                self._note(fact, 0)
        elif kind == "consumer":
            consumer = Consumer(headers["queue"], headers["consumer_tag"])
            change = 1 if happened == "created" else -1
            with self._lock:
                self._note(consumer, max(0, self._facts[consumer] + change))
        elif kind == "binding" and headers["source_name"]:
            self._note(_event_binding(headers), int(happened == "created"))


def _view(facts: Mapping[Fact, int]) -> BrokerView:
    bindings = frozenset(fact.path for fact in facts if isinstance(fact, Bound))
    consumed = Counter[str]()
    for fact, count in facts.items():
        if isinstance(fact, Consumer):
            consumed[fact.queue] += count
    return BrokerView(bindings, consumed)


def _is_loss(kind: str, happened: str, headers: Mapping[str, Any]) -> bool:
    """Whether an event tells of the end of something that the manager made."""
    if kind == "queue":
        return names.parse_queue(headers["name"]).role in OURS
    return kind in {"exchange", "permission"} and happened == "deleted"


def _is_of(fact: Fact, name: str, kind: str) -> bool:
    """Whether a fact can't be without the queue or exchange of that name."""
    if isinstance(fact, Consumer):
        return kind == "queue" and fact.queue == name
    path = fact.path
    if kind == "exchange" and path.source == name:
        return True
    return path.destination == name and path.to_exchange == (kind == "exchange")


def _binding(item: Mapping[str, Any]) -> Bound:
    to_exchange = item["destination_type"] == "exchange"
    return Bound(Binding(item["source"], item["destination"], to_exchange), item["routing_key"])


def _event_binding(headers: Mapping[str, Any]) -> Bound:
    to_exchange = headers["destination_kind"] == "exchange"
    path = Binding(headers["source_name"], headers["destination_name"], to_exchange)
    return Bound(path, headers["routing_key"])


def _consumer(item: Mapping[str, Any]) -> Consumer:
    return Consumer(item["queue"]["name"], item["consumer_tag"])
