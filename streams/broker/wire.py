"""pika's connection with fewer system calls, and a decoder of our own for what is frequent."""

from collections.abc import Callable
from typing import Any

import pika
from pika import frame
from pika.adapters.utils import io_services_utils
from pika.channel import Channel

from streams.broker import arrivals, codec
from streams.broker.arrivals import Delivered
from streams.broker.channel import OrderedChannel

#: One read of the broker's socket: pika's own 4 KiB cost 1-2 us a message more.
io_services_utils._AsyncTransportBase._MAX_RECV_BYTES = 256 * 1024  # noqa: SLF001

OnConfirm = Callable[[int, bool, bool], None]
OnDelivered = Callable[[Delivered], None]


class Consumer:
    """What takes a queue's deliveries, whether pika decodes them or `arrivals` does."""

    def __init__(self, on_delivered: OnDelivered) -> None:
        self.on_delivered = on_delivered

    def __call__(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Take what pika decoded."""
        self.on_delivered(
            Delivered(method.delivery_tag, method.redelivered, method.exchange, properties, body)
        )


class Wire(pika.SelectConnection):
    """Writes at once what one round of the loop produced; decodes the frequent by `arrivals`.

    pika sends each frame by a system call of its own, three for a published message. Which
    channels and consumers there are only pika knows, here too.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._gathered: list[bytes] = []
        #: by channel; empty while pika decodes everything
        self._on_confirm: dict[int, OnConfirm] = {}
        super().__init__(*arguments, **options)
        self._rounds = self.ioloop

    def _create_channel(self, channel_number: int, on_open_callback: Any) -> Channel:
        return OrderedChannel(self, channel_number, on_open_callback)

    def shortcut(self, channel: Channel, on_confirm: OnConfirm) -> codec.Encoder | None:
        """Decode what comes by `arrivals` from now on; return what encodes for this channel.

        None: this pika is another one inside than we know, and goes on by itself.
        """
        if not codec.fits(self, channel):
            return None
        self._on_confirm[channel.channel_number] = on_confirm
        return codec.Encoder(channel.channel_number, self._body_max_length)

    def emit(self, frames: bytes) -> None:
        """Send encoded frames."""
        self.bytes_sent += len(frames)
        self._adapter_emit_data(frames)

    def _on_data_available(self, data_in: bytes) -> None:
        if not self._on_confirm:
            super()._on_data_available(data_in)
            return
        buffer, self._frame_buffer = self._frame_buffer + data_in, b""
        at = 0
        while end := (
            self._delivered(buffer, at) or self._confirmed(buffer, at) or self._other(buffer, at)
        ):
            at = end
        self._frame_buffer = buffer[at:]
        self.bytes_received += at

    def _delivered(self, buffer: bytes, at: int) -> int:
        """Give a delivery that is all there to its consumer; return where it ends, or 0."""
        found = arrivals.delivery(buffer, at)
        if found is None:
            return 0
        number, tag, delivered, end = found
        channel = self._channels.get(number)
        if channel is None or tag in channel._cancelled:  # noqa: SLF001 - see codec.INTERNALS
            return 0
        consumer = channel._consumers.get(tag)  # noqa: SLF001
        if not isinstance(consumer, Consumer):
            return 0
        consumer.on_delivered(delivered)
        return end

    def _confirmed(self, buffer: bytes, at: int) -> int:
        """Tell of a confirm; return where it ends, or 0."""
        found = arrivals.confirm(buffer, at)
        if found is None or found[0] not in self._on_confirm:
            return 0
        channel, number, multiple, end = found
        self._on_confirm[channel](number, multiple, True)  # noqa: FBT003 - the broker took it
        return end

    def _other(self, buffer: bytes, at: int) -> int:
        """Leave a frame to pika; return where it ends, or 0 if it isn't all there."""
        end = arrivals.whole(buffer, at)
        decoded = frame.decode_frame(buffer[at:end])[1] if end else None
        if decoded is not None:
            self._process_frame(decoded)
        return end

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._gathered:
            self._rounds.ending.append(self._write_gathered)
        self._gathered.append(data)

    def _write_gathered(self) -> None:
        joined = b"".join(self._gathered)
        self._gathered.clear()
        if self._transport is not None and not self.is_closed:
            self._transport.write(joined)
