"""Messages as AMQP properties, and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pika import BasicProperties
from pika.data import encode_table

from streams.broker.codec import Outgoing
from streams.message import PUBLISHED_US, Message, now_us


def to_properties(message: Message) -> BasicProperties:
    """Return the properties under which `message` is published."""
    return Outgoing(
        message.content_type,
        dict(message.headers) or None,
        message.message_id,
        message.correlation_id,
        message.timestamp,
    )


def headers_bytes(headers: Mapping[Any, Any]) -> int:
    """Return how many bytes `headers` take on the wire."""
    return encode_table([], dict(headers))


def from_properties(properties: BasicProperties, body: bytes) -> Message:
    """Return what arrived as a message."""
    headers: Mapping[str, Any] = properties.headers or {}
    return Message(
        body=body,
        message_id=properties.message_id,
        content_type=properties.content_type,
        correlation_id=properties.correlation_id,
        timestamp=properties.timestamp,
        headers=headers,
    )


def stamped(message: Message, message_id: str) -> Message:
    """Return `message` with an id, where it has none, and the time of its publication: now."""
    us = now_us()
    return replace(
        message,
        message_id=message.message_id or message_id,
        timestamp=us // 1_000_000,
        headers={**message.headers, PUBLISHED_US: us},
    )
