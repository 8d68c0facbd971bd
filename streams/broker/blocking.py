"""The blocking face: a session that reconnects in place, and one with a thread of its own."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Self, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPChannelError,
    AMQPConnectionError,
    AMQPError,
    ChannelWrongStateError,
    ConnectionWrongStateError,
    NackError,
    UnroutableError,
)
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from streams.broker import patience
from streams.broker.addresses import explain, explain_channel, parameters
from streams.broker.properties import stamped, to_properties
from streams.errors import BrokerError, BrokerUnreachableError
from streams.message import Message, MessageIds

T = TypeVar("T")
Channel = BlockingChannel
log = logging.getLogger(__name__)

#: What a connection that broke under our hands raises.
_LOST = (AMQPConnectionError, ConnectionWrongStateError, ChannelWrongStateError, OSError)


class Session:
    """One connection and one confirming channel, opened when first needed.

    A lost connection is opened again, with backoff and jitter, for at most `patience_s` seconds,
    and the call that met the loss is made once more: so calls must bear being made twice, as
    declarations, and publishing at least once, do. Belongs to one thread.
    """

    def __init__(
        self, urls: Sequence[str], *, name: str, patience_s: float = 5.0, vhost: str | None = None
    ) -> None:
        self.urls = tuple(urls)
        self._name = name
        self._vhost = vhost
        self._patience_s = patience_s
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._ids = MessageIds()
        #: called with each new channel, before anything else uses it
        self.on_channel: Callable[[BlockingChannel], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def channel(self) -> BlockingChannel:
        """The open channel.

        Raises:
            BrokerUnreachableError: no address answered within the patience.
            BrokerRefusedError: the login was refused (at once).
        """
        if self._channel is None or not self._channel.is_open:
            self._open()
        assert self._channel is not None  # noqa: S101 - _open sets it or raises
        return self._channel

    @property
    def connection(self) -> pika.BlockingConnection:
        """The open connection, for a caller that serves its events."""
        _ = self.channel
        assert self._connection is not None  # noqa: S101 - the channel came from it
        return self._connection

    def call(self, action: Callable[[BlockingChannel], T]) -> T:
        """Do something on the channel, once more if the connection broke under it.

        Raises:
            BrokerError: what the broker refused; the next call gets a new channel.
        """
        for again in self._until_patience_ends():
            with again:
                try:
                    return action(self.channel)
                except AMQPChannelError as error:
                    if isinstance(error, ChannelWrongStateError):
                        self._drop()
                        raise BrokerUnreachableError("broker: the channel was closed") from error
                    self._channel = None
                    raise explain_channel(error) from None
                except _LOST as error:
                    self._drop()
                    raise explain(error, self.urls) from None
        raise AssertionError("unreachable")  # pragma: no cover

    def publish(
        self, exchange: str, message: Message, *, routing_key: str = "", mandatory: bool = True
    ) -> bool:
        """Publish and wait for the confirm; if `mandatory`, say whether any queue collected it."""
        complete = stamped(message, self._ids.next())

        def send(channel: BlockingChannel) -> bool:
            try:
                with patience.within_reason(channel.connection):
                    channel.basic_publish(
                        exchange,
                        routing_key,
                        complete.body,
                        to_properties(complete),
                        mandatory=mandatory,
                    )
            except UnroutableError:
                return False
            except NackError:
                # this channel may refuse all, for ever: the next call gets another
                channel.close()
                raise BrokerError(f"broker: refused to keep a message for {exchange!r}") from None
            return True

        return self.call(send)

    def close(self) -> None:
        """Close the connection; acknowledgements made before are seen by the broker."""
        if self._connection is not None and self._connection.is_open:
            with suppress(AMQPError, OSError):
                self._connection.close()
        self._connection = self._channel = None

    def _until_patience_ends(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(BrokerUnreachableError),
            wait=wait_random_exponential(multiplier=0.1, max=3),
            stop=stop_after_delay(self._patience_s),
            reraise=True,
        )

    def _open(self) -> None:
        if self._connection is None or not self._connection.is_open:
            self._connection = self._connect()
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        if self.on_channel is not None:
            self.on_channel(self._channel)

    def _connect(self) -> pika.BlockingConnection:
        configs = [parameters(url, self._name, self._vhost) for url in self.urls]
        try:
            return pika.BlockingConnection(configs)
        # pika hands on its connector's time-out as it is, and that is no AMQPError
        except (AMQPError, AMQPConnectorException, OSError) as error:
            raise explain(error, self.urls) from None

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            with suppress(AMQPError, OSError):
                connection.close()


class BrokerThread:
    """A session that lives on a thread of its own: any thread may `call` it.

    `on_channel` runs on that thread for each new channel (after each reconnect as well): declare
    and consume there. Consumer callbacks run on that thread, too, and must be short.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        name: str,
        on_channel: Callable[[BlockingChannel], None] | None = None,
        vhost: str | None = None,
    ) -> None:
        self._session = Session(urls, name=name, vhost=vhost)
        self._session.on_channel = on_channel
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._calls: list[tuple[Callable[[Session], object], Future[object]]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self.last_error: BrokerError | None = None

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as this side knows."""
        return self._connected.is_set()

    def start(self) -> None:
        """Start the thread; it connects, and reconnects, by itself."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread and close the connection."""
        self._stopping.set()
        self._wake()
        self._thread.join(timeout_s)

    def call(self, action: Callable[[Session], T], *, timeout_s: float = 10.0) -> T:
        """Run `action` on the session's thread and return what it returns.

        Raises:
            BrokerError: what it raised, or no connection within `timeout_s`.
        """
        future: Future[T] = Future()
        with self._lock:
            self._calls.append((action, future))  # type: ignore[arg-type]
        self._wake()
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise self.last_error or BrokerUnreachableError(
                f"broker: no answer within {timeout_s:g} s"
            ) from None

    def _wake(self) -> None:
        connection = self._session._connection  # noqa: SLF001 - the other half of this class
        if connection is not None and connection.is_open:
            with suppress(AMQPError):
                connection.add_callback_threadsafe(lambda: None)

    def _run(self) -> None:
        pause_s = 0.1
        while not self._stopping.is_set():
            try:
                _ = self._session.connection
                self._connected.set()
                self.last_error, pause_s = None, 0.1
                self._serve_calls()
                # a call may have met a loss: ask for the connection anew
                self._session.connection.process_data_events(time_limit=0.5)
            except Exception as error:  # noqa: BLE001 - a thread that others rely on goes on
                self._connected.clear()
                self.last_error = self._explained(error)
                self._session.close()
                self._refuse_calls(self.last_error)
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, 3.0)
        self._session.close()

    def _explained(self, error: Exception) -> BrokerError:
        if isinstance(error, AMQPError | OSError):
            error = explain(error, self._session.urls)
        if isinstance(error, BrokerError):
            log.warning("%s", error)
            return error
        log.error("the broker's thread met a bug; it starts over", exc_info=error)
        return BrokerError(f"broker: {error!r}")

    def _refuse_calls(self, error: BrokerError) -> None:
        """Let nobody wait for a broker that isn't there; whoever asks later is heard again."""
        with self._lock:
            refused, self._calls = self._calls, []
        for _, future in refused:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _serve_calls(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    return
                action, future = self._calls.pop(0)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(action(self._session))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                future.set_exception(error)
