"""`tr` for each message by Celery: acknowledged late, published with a confirm.

Celery's messages are its own, so the input is filled by Celery, too: `by_celery.py COUNT`. Worker:
`celery --app by_celery worker`.
"""

import os
import subprocess
import sys

from celery import Celery  # type: ignore[import-not-found]

app = Celery("peer", broker=os.environ["PEER_URL"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_default_queue="by-celery",
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=16,
)


def upper(text: str) -> None:
    """Give the message to a program, and publish what it made."""
    command = ["/usr/bin/tr", "a-z", "A-Z"]
    made = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(made.stdout, exchange="streams.output", routing_key="", delivery_mode=2)


task = app.task(upper, name="upper")

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        task.delay(f"{number} ".ljust(100, "x"))
