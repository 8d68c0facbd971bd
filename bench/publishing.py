"""The confirmed publish loop: as many messages as the broker takes, each confirmed."""

import time
from collections.abc import Iterable

from bench.path import body
from streams.broker import EventLoop, Outflow
from streams.broker.codec import Outgoing
from streams.errors import BrokerError
from streams.message import PUBLISHED_US, MessageIds, now_us
from streams.settings import Settings

PUBLISH_LOOP = "limit: confirmed publish loop"


def publish(settings: Settings, stream: str, numbers: Iterable[int]) -> float:
    """Publish a message for each number; return the seconds from the first to the last confirm."""
    loop, ids = EventLoop(), MessageIds()
    ahead = iter(numbers)
    ended: list[BrokerError | None] = []
    started_s = 0.0

    def fill() -> None:
        nonlocal started_s
        started_s = started_s or time.monotonic()
        while outflow.has_room:
            number = next(ahead, None)
            if number is None:
                outflow.finish()
                return
            us = now_us()
            headers = {PUBLISHED_US: us}
            properties = Outgoing("text/plain", headers, ids.next(), None, us // 1_000_000)
            outflow.send(properties, body(number))

    outflow = Outflow(
        loop,
        settings.need_amqp(),
        stream,
        name="bench",
        on_room=fill,
        on_done=ended.append,
        say=print,
    )
    outflow.open()
    loop.run_until(lambda: bool(ended))
    loop.close()
    if ended[0] is not None:
        raise ended[0]
    return time.monotonic() - started_s
