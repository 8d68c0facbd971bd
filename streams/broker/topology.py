"""Exchanges, queues and bindings, each declared in one place. Declaring twice is declaring once."""

from pika.adapters.blocking_connection import BlockingChannel

from streams import names

_QUORUM = {"x-queue-type": "quorum"}
#: Its order is the archive's order, so one archiver at a time takes it.
_ARCHIVE = {**_QUORUM, "x-single-active-consumer": True}


def declare_stream(channel: BlockingChannel, stream: str) -> None:
    """Make sure that `stream` exists."""
    channel.exchange_declare(names.exchange(stream), exchange_type="fanout", durable=True)


def check_stream(channel: BlockingChannel, stream: str) -> None:
    """Do nothing if `stream` exists; else the channel is closed with 404."""
    channel.exchange_declare(names.exchange(stream), passive=True)


def delete_stream(channel: BlockingChannel, stream: str) -> None:
    """Delete the exchange of `stream`; nothing happens if it is gone already."""
    channel.exchange_delete(names.exchange(stream))


def declare_control(channel: BlockingChannel) -> None:
    """Make sure that the exchanges everybody shares exist."""
    channel.exchange_declare(names.CONTROL_EXCHANGE, exchange_type="topic", durable=True)
    channel.exchange_declare(names.DEAD_EXCHANGE, exchange_type="direct", durable=True)
    declare_stream(channel, names.EVENTS_STREAM)


def declare_operation(channel: BlockingChannel, operation: str) -> None:
    """Make sure that the queues of `operation` exist, its input not yet bound to any stream."""
    dead = names.dead_queue(operation)
    channel.queue_declare(dead, durable=True, arguments=_QUORUM)
    channel.queue_bind(dead, names.DEAD_EXCHANGE, routing_key=operation)
    channel.queue_declare(names.operation_queue(operation), durable=True, arguments=_QUORUM)


def delete_operation(channel: BlockingChannel, operation: str) -> tuple[int, int]:
    """Delete an operation's queues; return how many inputs and dead letters went with them."""
    waiting = channel.queue_delete(names.operation_queue(operation))
    dead = channel.queue_delete(names.dead_queue(operation))
    return _count(waiting), _count(dead)


def bind_operation(channel: BlockingChannel, operation: str, stream: str) -> None:
    """Let `operation` collect what is published on `stream`."""
    channel.queue_bind(names.operation_queue(operation), names.exchange(stream))


def unbind_operation(channel: BlockingChannel, operation: str, stream: str) -> None:
    """Let `operation` collect nothing more; what waits in its queue stays."""
    channel.queue_unbind(names.operation_queue(operation), names.exchange(stream))


def declare_subscription(channel: BlockingChannel, stream: str, name: str) -> str:
    """Make sure that a durable subscription exists; return its queue."""
    queue = names.subscription_queue(stream, name)
    channel.queue_declare(queue, durable=True, arguments=_QUORUM)
    channel.queue_bind(queue, names.exchange(stream))
    return queue


def declare_tap(channel: BlockingChannel, stream: str, *, messages: int, size_bytes: int) -> str:
    """Make a queue that shows the latest of `stream`, is no demand, and ends with its connection.

    What doesn't fit drops the oldest.
    """
    queue = names.tap_queue(stream)
    bounds = {"x-max-length": messages, "x-max-length-bytes": size_bytes, "x-overflow": "drop-head"}
    channel.queue_declare(queue, exclusive=True, auto_delete=True, arguments=bounds)
    channel.queue_bind(queue, names.exchange(stream))
    return queue


def declare_archive(channel: BlockingChannel, stream: str) -> None:
    """Make sure that the queue which collects `stream` for its archive exists, and collects."""
    queue = names.archive_queue(stream)
    channel.queue_declare(queue, durable=True, arguments=_ARCHIVE)
    channel.queue_bind(queue, names.exchange(stream))
    channel.queue_bind(queue, names.CONTROL_EXCHANGE, names.archive_end_key(stream))


def unbind_archive(channel: BlockingChannel, stream: str) -> None:
    """Let the archive of `stream` collect nothing more; what waits in its queue stays."""
    channel.queue_unbind(names.archive_queue(stream), names.exchange(stream))


def delete_archive(channel: BlockingChannel, stream: str) -> None:
    """Delete the queue that collected `stream` for its archive."""
    channel.queue_delete(names.archive_queue(stream))


def _count(answer: object) -> int:
    method = getattr(answer, "method", None)
    return int(getattr(method, "message_count", 0) or 0)
