"""The broker, in two faces; the only package that imports pika.

`Session` blocks, reconnects in place and resends what was unconfirmed: for tools and the manager.
`BrokerThread` is a session with a thread of its own, which others hand calls to.
`LoopConnection` never blocks and takes a lost connection as the end: for operators. What it runs
on, `EventLoop`, also serves pipes and timers, and `Signals` come to it.
`StreamLink` opens such a connection for one stream again and again, and an `Outflow` publishes over
it until each message is confirmed: for tools and replays.
A `Feed` consumes a queue on a channel of its own, beside others on such a connection.
`wire` is pika's connection below them: `codec` makes frames of what is published, `arrivals`
messages of the frames that come.
`topology` declares exchanges and queues.
"""

from streams.broker.arrivals import Delivered
from streams.broker.blocking import BrokerThread, Channel, Session
from streams.broker.connection import LoopConnection
from streams.broker.feed import Feed
from streams.broker.link import StreamLink
from streams.broker.loop import EventLoop
from streams.broker.outflow import Outflow
from streams.broker.resets import survive_resets
from streams.broker.signals import Signals
from streams.broker.wire import OnDelivered

__all__ = [
    "BrokerThread",
    "Channel",
    "Delivered",
    "EventLoop",
    "Feed",
    "LoopConnection",
    "OnDelivered",
    "Outflow",
    "Session",
    "Signals",
    "StreamLink",
]

survive_resets()
