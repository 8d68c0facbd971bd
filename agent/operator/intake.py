"""What comes in: prefetched, bounded in number and bytes, acknowledged in batches."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from agent.operator.ledger import Ledger
from agent.operator.report import Reporter, Tally
from agent.operator.spawn import PIPE_BYTES
from agent.operator.spool import Spool
from streams.broker import Delivered, EventLoop, LoopConnection
from streams.reference import ObjectReference

#: Inputs that have ended so many operators are taken alone, so that they take no neighbour along.
ALONE_DELIVERIES = 3
#: Two windows of 16 MiB: what may wait in memory.
_PREFETCH_BYTES = 32 * 1024 * 1024
_ACK_DELAY_S = 0.002
#: Acknowledge singly, behind an unfinished one, when so many of the prefetched are finished.
_SINGLES_SHARE = 0.5

Then = Callable[[], None]


@dataclass(slots=True, eq=False)
class Item:
    """One input in hand."""

    tag: int
    properties: Any
    body: bytes
    received_at: float
    #: how often it was given to an operator before, and came back
    deliveries: int = 0
    #: attempts that count against it
    failures: int = 0
    #: how many bytes a program gets, as far as that is known
    size: int = 0
    #: whether all that a program is to get is here
    ready: bool = True
    #: what it refers to, and the content of that when it is here
    reference: ObjectReference | None = None
    spool: Spool | None = None

    @property
    def content_type(self) -> Any:
        """What the program gets: of an object that isn't the type of the reference."""
        return (
            self.properties.content_type if self.reference is None else self.reference.content_type
        )


class Intake:
    """Consumes the operation's queue; whoever takes an item says `done` when it is through.

    RabbitMQ can't change a consumer's prefetch, and a cancelled consumer on a quorum queue leaves
    a mark (a delivery counted) on whatever was under way to it. So prefetch starts at 1 and changes
    only while all that it allows is in hand and nothing can be under way.
    """

    def __init__(
        self,
        loop: EventLoop,
        connection: LoopConnection,
        queue: str,
        *,
        tally: Tally,
        wish: int,
        fifo: bool,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self.queue = queue
        self._tally = tally
        #: how many to have in hand at most; may change at any time
        self.wish = wish
        self._fifo = fifo
        self.ledger = Ledger()
        self.waiting: deque[Item] = deque()
        self._prefetch = 1
        #: the last delivery to the consumer before the present one
        self._earlier = 0
        self._consumer: str | None = None
        self._stopped = False
        self._then: Then = lambda: None
        self._ack_timer: object = None
        self._alone: int | None = None
        #: the last of those that came in this round of the loop
        self._newest: Item | None = None
        #: whether the next one waits until those before it are through, to be taken alone; whether
        #: something is waiting, but nothing that could be taken; whether to call `on_waiting` at
        #: the end of this round, for all that came
        self._held_back = self._starved = self._telling = False
        self._mean_bytes = 0.0
        #: called with each item before it is put into `waiting`; True: not for the program
        self.on_item: Callable[[Item], bool] = lambda _item: False
        #: called with each object reference that was put into `waiting`, and when it is through
        self.on_reference: Callable[[Item], None] = lambda _item: None
        self.on_reference_done: Callable[[Item], None] = lambda _item: None
        #: called when something is waiting that wasn't
        self.on_waiting: Then = lambda: None
        #: called when every delivery is acknowledged
        self.on_idle: Then = lambda: None
        #: called with the reason when the queue is gone
        self.on_gone: Callable[[str], None] = lambda _reason: None
        self.reporter: Reporter | None = None

    @property
    def in_hand(self) -> int:
        """How many inputs are unacknowledged."""
        return self.ledger.in_hand

    def start(self) -> None:
        """Begin to consume."""
        self._consumer = self._connection.consume(
            self.queue, self._delivered, prefetch=self._prefetch, on_cancelled=self._gone
        )

    def stop(self, then: Then) -> None:
        """Take nothing more from the broker, then call back.

        RabbitMQ puts what is on its way to a cancelled consumer of a quorum queue behind all
        others. So it is cancelled when nothing can be on its way: we have as much as we may, or all
        that came is through. Until then nothing is acknowledged, which would bring more.
        """
        self._stopped, self._then = True, then
        if self._consumer is None:
            then()
        else:
            self._cancel_in_time()

    def take(self) -> Item | None:
        """Return the next input to work on, if one may be begun now."""
        if not self.waiting or self._alone is not None:
            return None
        item = self.waiting[0]
        if not item.ready:
            overtaking = None if self._fifo else next((i for i in self.waiting if i.ready), None)
            if overtaking is None:
                self._starved = True
                return None
            item = overtaking
        if item.deliveries >= ALONE_DELIVERIES:
            if self.ledger.unfinished > len(self.waiting):
                self._held_back = True
                return None
            self._alone = item.tag
        if item is self.waiting[0]:
            self.waiting.popleft()
        else:
            self.waiting.remove(item)
        return item

    def take_some(self, most: int) -> list[Item]:
        """Return the next inputs, `most` at most and hardly more than a pipe takes at once."""
        first = self.take()
        if first is None:
            return []
        taken, size = [first], first.size
        while len(taken) < most and size < PIPE_BYTES and self.waiting and self._alone is None:
            item = self.waiting[0]
            if not item.ready or item.deliveries >= ALONE_DELIVERIES:
                break
            taken.append(self.waiting.popleft())
            size += item.size
        return taken

    def done(self, items: Sequence[Item]) -> None:
        """Note that inputs are through: they are acknowledged soon."""
        if not items:
            return
        tags = [item.tag for item in items]
        self.ledger.done(tags)
        self._tally.acknowledged += len(tags)
        if self.reporter is not None:
            self.reporter.latencies.add(item.received_at for item in items)
        if self._ack_timer is None:
            self._ack_timer = self._loop.call_later(_ACK_DELAY_S, self._acknowledge)
        for item in items:
            if item.reference is not None:
                self.on_reference_done(item)
        if self._alone in tags:
            self._alone = None
        elif not self._held_back or self.ledger.unfinished > len(self.waiting):
            return
        self._held_back = False
        self.on_waiting()

    def flush(self) -> None:
        """Acknowledge whatever is done."""
        self._send_acks(singles=True)

    def _delivered(self, delivered: Delivered) -> None:
        size = len(delivered.body)
        item = Item(
            delivered.tag,
            delivered.properties,
            delivered.body,
            monotonic(),
            _deliveries(delivered),
            size=size,
        )
        self.ledger.receive(item.tag)
        self._tally.received += 1
        self._mean_bytes += (size - self._mean_bytes) / min(item.tag, 32)
        if self._newest is None:
            self._loop.call_at_end(self._all_came)
        self._newest = item
        if not self.on_item(item):
            self._wait(item)

    def _wait(self, item: Item) -> None:
        self.waiting.append(item)
        if item.reference is not None:
            self._starved |= len(self.waiting) == 1
            self.on_reference(item)
        elif len(self.waiting) == 1 or self._starved:
            self._starved, self._telling = False, True

    def _all_came(self) -> None:
        """See to what came in this round: whoever works knows of those behind it."""
        self._look_full()
        telling, self._telling = self._telling, False
        if telling and self.waiting:
            self.on_waiting()

    def _look_full(self) -> None:
        """See whether the last that came was the last that can come before acknowledgements."""
        newest, self._newest = self._newest, None
        if newest is None:
            return
        if self._stopped:
            self._cancel_in_time()
        elif self._full:
            self._adapt(newest)

    def _adapt(self, newest: Item) -> None:
        """Consume with another prefetch where that is worth it."""
        wanted = max(1, min(self.wish, int(_PREFETCH_BYTES / max(self._mean_bytes, 1))))
        if newest.deliveries >= ALONE_DELIVERIES:
            wanted = 1
        if wanted >= 2 * self._prefetch or 2 * wanted <= self._prefetch:
            self._prefetch, self._earlier = wanted, newest.tag
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                self._connection.cancel(consumer, self._resume)

    def _gone(self) -> None:
        self.on_gone(f"queue {self.queue!r} is gone")

    def _resume(self) -> None:
        if not self._stopped:
            self.start()

    @property
    def _full(self) -> bool:
        """Whether the present consumer has as many in hand as the broker gives it."""
        return self.ledger.in_hand_after(self._earlier) == self._prefetch

    def _cancel_in_time(self) -> None:
        if self._consumer is not None and (self._full or not self.ledger.unfinished):
            consumer, self._consumer = self._consumer, None
            self._connection.cancel(consumer, self._cancelled)

    def _cancelled(self) -> None:
        self._send_acks(singles=False)
        self._then()

    def _acknowledge(self) -> None:
        self._ack_timer = None
        if self._stopped:
            self._cancel_in_time()
            if self._consumer is not None:
                return
        self._send_acks(singles=self.ledger.waiting > _SINGLES_SHARE * self._prefetch)

    def _send_acks(self, *, singles: bool) -> None:
        self._look_full()
        acks = self.ledger.due(singles=singles)
        if acks.up_to:
            self._connection.ack(acks.up_to, multiple=True)
        for tag in acks.singles:
            self._connection.ack(tag)
        if not self.ledger.in_hand:
            self.on_idle()


def _deliveries(delivered: Delivered) -> int:
    """Return how often a quorum queue gave it to somebody before, who didn't acknowledge it."""
    if not delivered.redelivered:
        return 0  # without a look at its headers, which costs
    count = (delivered.properties.headers or {}).get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
