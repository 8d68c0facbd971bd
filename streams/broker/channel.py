"""pika's channel, which keeps the order of a queue when its consumer ends.

A quorum queue without a delivery limit puts what a client rejects, and what was on its way to a
cancelled consumer, behind all others; what the end of a channel leaves unacknowledged goes back to
the front. pika cancels consumers before it closes a channel, and rejects what comes after a cancel.
"""

from typing import Any

from pika.channel import Channel


class OrderedChannel(Channel):
    """Delivers what comes until a cancel is confirmed, and closes without cancelling."""

    #: pika's own: whose deliveries it rejects, and whom it doesn't cancel (see `codec.INTERNALS`)
    _cancelled: set[str]
    _consumers: dict[str, Any]

    def basic_cancel(self, consumer_tag: str = "", callback: Any = None) -> None:
        """Cancel a consumer; it gets what is on its way until the broker says that it is gone."""
        super().basic_cancel(consumer_tag, callback)
        self._cancelled.discard(consumer_tag)

    def close(self, reply_code: int = 0, reply_text: str = "Normal shutdown") -> None:
        """Close the channel; the broker ends its consumers."""
        self._cancelled.update(self._consumers)
        super().close(reply_code, reply_text)
