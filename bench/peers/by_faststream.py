"""`tr` for each message by FastStream: acknowledged after the confirm of what it made.

It takes and gives plain messages, as an operation does.
"""

import asyncio
import os

from faststream import AckPolicy, FastStream  # type: ignore[import-not-found]
from faststream.rabbit import (  # type: ignore[import-not-found]
    Channel,
    ExchangeType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)

#: so many at once
_PREFETCH = 2 * (os.cpu_count() or 1)
broker = RabbitBroker(os.environ["PEER_URL"], default_channel=Channel(prefetch_count=_PREFETCH))
output = RabbitExchange("streams.output", type=ExchangeType.FANOUT, declare=False)
queue = RabbitQueue("operations.bench", declare=False)


async def upper(message: RabbitMessage) -> None:
    """Give the message to a program, and publish what it made."""
    command = ["/usr/bin/tr", "a-z", "A-Z"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    made, _ = await process.communicate(message.body)
    await broker.publish(made, exchange=output, persist=True)


broker.subscriber(queue, ack_policy=AckPolicy.NACK_ON_ERROR)(upper)

if __name__ == "__main__":
    asyncio.run(FastStream(broker).run())
