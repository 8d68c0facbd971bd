"""Looking at what operations gave up on, and giving it another try."""

from collections.abc import Callable
from functools import partial
from typing import Any

from manager.model import DeadLetter
from streams import names
from streams.broker import Channel, Session
from streams.message import OWN_HEADER

#: What a dead letter carries about its failure; gone when it is tried again.
FAILURE_HEADERS = frozenset(
    OWN_HEADER + name
    for name in ("reason", "exit-status", "attempts", "node", "failed-at", "stderr")
)
#: So many are listed, and so much of each body is kept for that.
LISTED = 1000
_KEPT_BYTES = 64 * 1024
_NOT_PASSED_ON = FAILURE_HEADERS | {"x-death", "x-delivery-count"}


def read(session: Session, operation: str, limit: int) -> list[DeadLetter]:
    """Return the oldest `limit` dead letters.

    One reader takes them and closes its channel: so they go back to their places.
    """
    letters: list[DeadLetter] = []
    channel = session.connection.channel()
    try:
        while len(letters) < limit:
            method, properties, body = channel.basic_get(names.dead_queue(operation))
            if method is None:
                break
            letters.append(_letter(properties, body or b""))
    finally:
        channel.close()
    return letters


def redrive(
    session: Session,
    operation: str,
    limit: int | None,
    chosen: Callable[[DeadLetter], bool] = lambda _: True,
) -> int:
    """Move dead letters back; each is acknowledged after the broker has it in its other queue.

    The way back is a binding for this time only, with a routing key that no operation has. What
    isn't chosen is held until the session ends, which puts it back to its place.
    """
    dead, queue = names.dead_queue(operation), names.operation_queue(operation)
    key = f"redrive {operation}"
    waiting = session.call(lambda channel: channel.queue_declare(dead, passive=True))
    count = int(waiting.method.message_count)
    session.call(lambda channel: channel.queue_bind(queue, names.DEAD_EXCHANGE, key))
    try:
        move = partial(_move_one, dead=dead, key=key, chosen=chosen)
        moved = 0
        for _ in range(count):
            if moved == limit:
                break
            moved += session.call(move)
        return moved
    finally:
        session.call(lambda channel: channel.queue_unbind(queue, names.DEAD_EXCHANGE, key))


def _move_one(channel: Channel, dead: str, key: str, chosen: Callable[[DeadLetter], bool]) -> int:
    method, properties, body = channel.basic_get(dead)
    if method is None or properties is None or not chosen(_letter(properties, body or b"")):
        return 0
    headers = {k: v for k, v in (properties.headers or {}).items() if k not in _NOT_PASSED_ON}
    properties.headers = headers or None
    channel.basic_publish(names.DEAD_EXCHANGE, key, body or b"", properties, mandatory=True)
    channel.basic_ack(method.delivery_tag)
    return 1


def _letter(properties: Any, body: bytes) -> DeadLetter:
    headers = dict(properties.headers or {})
    said = {name: headers.get(OWN_HEADER + name) for name in ("node", "failed-at", "exit-status")}
    attempts: Any = headers.get(OWN_HEADER + "attempts")
    return DeadLetter(
        message_id=properties.message_id,
        content_type=properties.content_type,
        reason=str(headers.get(OWN_HEADER + "reason", "")),
        exit_status=None if said["exit-status"] is None else str(said["exit-status"]),
        attempts=int(attempts)
        if isinstance(attempts, int | str) and str(attempts).isdigit()
        else None,
        node=None if said["node"] is None else str(said["node"]),
        failed_at=None if said["failed-at"] is None else str(said["failed-at"]),
        stderr=str(headers.get(OWN_HEADER + "stderr", "")),
        body=body[:_KEPT_BYTES],
        size_bytes=len(body),
        headers={k: v for k, v in headers.items() if k not in FAILURE_HEADERS},
    )
