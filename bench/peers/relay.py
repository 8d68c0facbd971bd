"""The peer of a service operation: a relay in stock pika with the same guarantees.

One SelectConnection, prefetch 1,000, publisher confirms, an input acknowledged after the confirm
of its output, acknowledgements joined. Usage: relay.py AMQP_URL QUEUE EXCHANGE
"""

import sys
from typing import Any

import pika

PREFETCH = 1000


class Relay:
    """Moves what comes on a queue to an exchange."""

    def __init__(self, url: str, queue: str, exchange: str) -> None:
        self.queue, self.exchange = queue, exchange
        self.published = 0
        self.tags: dict[int, int] = {}
        self.connection = pika.SelectConnection(
            pika.URLParameters(url), on_open_callback=self.opened
        )

    def opened(self, connection: Any) -> None:
        """Open the channel."""
        connection.channel(on_open_callback=self.ready)

    def ready(self, channel: Any) -> None:
        """Switch confirms on and consume."""
        self.channel = channel
        channel.confirm_delivery(self.confirmed)
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(self.queue, self.delivered)

    def delivered(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Publish what came."""
        channel.basic_publish(self.exchange, "", body, properties)
        self.published += 1
        self.tags[self.published] = method.delivery_tag

    def confirmed(self, frame: Any) -> None:
        """Acknowledge the inputs of what the broker has confirmed."""
        number = frame.method.delivery_tag
        if not frame.method.multiple:
            self.channel.basic_ack(self.tags.pop(number))
            return
        done = [sequence for sequence in self.tags if sequence <= number]
        if done:
            self.channel.basic_ack(self.tags[done[-1]], multiple=True)
        for sequence in done:
            del self.tags[sequence]


if __name__ == "__main__":
    Relay(*sys.argv[1:4]).connection.ioloop.start()
