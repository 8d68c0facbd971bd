"""`tr` for each message by Dramatiq: acknowledged when it is done, published with a confirm.

Dramatiq's messages are its own, so the input is filled by Dramatiq, too: `by_dramatiq.py COUNT`.
Worker: `dramatiq by_dramatiq`.
"""

import os
import subprocess
import sys

import dramatiq  # type: ignore[import-not-found]
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker  # type: ignore[import-not-found]

broker = RabbitmqBroker(url=os.environ["PEER_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)
_PERSISTENT = pika.BasicProperties(delivery_mode=2)


def upper(text: str) -> None:
    """Give the message to a program, and publish what it made."""
    command = ["/usr/bin/tr", "a-z", "A-Z"]
    made = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True)
    broker.channel.basic_publish("streams.output", "", made.stdout, _PERSISTENT)


actor = dramatiq.actor(upper, queue_name="by-dramatiq")

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        actor.send(f"{number} ".ljust(100, "x"))
