"""Broker addresses, and pika's errors in words a person can act on."""

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import pika
from pika.adapters.utils.connection_workflow import (
    AMQPConnectorException,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import (
    AMQPChannelError,
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from streams import tls
from streams.errors import (
    BrokerError,
    BrokerForbiddenError,
    BrokerRefusedError,
    BrokerUnreachableError,
    QueueLockedError,
    QueueMissingError,
    StreamMissingError,
    TopologyConflictError,
)
from streams.names import stream_of
from streams.settings import without_password

#: pika files these under "connection error" too, but no amount of waiting cures them.
REFUSED = (AuthenticationError, ProbableAuthenticationError, ProbableAccessDeniedError)
#: AMQP 0-9-1 reply codes (specification, section 1.2).
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, NOT_ALLOWED = 403, 404, 406, 530
FRAME_ERROR = 501
#: A machine that is gone without a word is noticed after 25 s at the latest.
HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 4.0


def parameters(url: str, name: str, vhost: str | None = None) -> pika.URLParameters:
    """Return pika's parameters for one address; `name` is what the broker's tools show."""
    bare, ca_file = tls.parted(url)
    chosen = pika.URLParameters(bare)
    if urlsplit(url).scheme == "amqps":
        chosen.ssl_options = pika.SSLOptions(tls.context(ca_file), server_hostname=chosen.host)
    if vhost is not None:
        chosen.virtual_host = vhost
    elif urlsplit(url).path in {"", "/"}:
        chosen.virtual_host = "/"
    if "heartbeat" not in parse_qs(urlsplit(url).query):
        chosen.heartbeat = HEARTBEAT_S
    chosen.socket_timeout = CONNECT_TIMEOUT_S
    chosen.stack_timeout = CONNECT_TIMEOUT_S
    chosen.blocked_connection_timeout = None
    chosen.connection_attempts = 1
    chosen.client_properties = {"connection_name": name, "product": "streamboss"}
    return chosen


def explain(error: BaseException, urls: Sequence[str]) -> BrokerError:
    """Return our error for a connection that couldn't be opened, or was lost."""
    where = ", ".join(without_password(url) for url in urls)
    cause = root_cause(error)
    if text := tls.problem(cause):
        return BrokerRefusedError(f"broker {where}: {text}")
    if isinstance(cause, REFUSED):
        what = (
            "the virtual host was refused: check the path of STREAMBOSS_AMQP_URL"
            if isinstance(cause, ProbableAccessDeniedError)
            else "user or password was refused: check STREAMBOSS_AMQP_URL"
        )
        return BrokerRefusedError(f"broker {where}: {what}")
    if isinstance(cause, ConnectionClosedByBroker):
        text = f"broker {where}: closed the connection: {cause.reply_code} {cause.reply_text}"
        if cause.reply_code in {ACCESS_REFUSED, NOT_ALLOWED}:
            return BrokerRefusedError(text)
        if cause.reply_code == FRAME_ERROR and "frame_too_large" in cause.reply_text:
            return BrokerError(
                f"broker {where}: a message's headers are too large for it (its frame_max):"
                " keep them below 64 KiB, and the rest in the body"
            )
        return BrokerUnreachableError(text)
    return BrokerUnreachableError(
        f"broker {where}: not reachable ({_short(cause)}): is it running? 'streamboss status' tells"
    )


def explain_channel(error: AMQPChannelError) -> BrokerError:
    """Return our error for something that the broker refused on a channel."""
    if not isinstance(error, ChannelClosedByBroker):
        return BrokerError(f"broker: {error!r}")
    text = error.reply_text
    match error.reply_code:
        case 404:
            return _missing(text)
        case 405:
            return QueueLockedError(f"queue {_quoted(text)!r} belongs to another connection")
        case 403:
            return BrokerForbiddenError(f"broker: no right to do this: {text}")
        case 406:
            return _precondition_failed(text)
        case code:
            return BrokerError(f"broker: {code} {text}")


def _precondition_failed(text: str) -> BrokerError:
    if "larger than" in text:
        return BrokerError(
            f"broker: it takes no message as large as this (its max_message_size): {text}"
        )
    if "timed out" in text:
        return BrokerError(
            "broker: it took back what was worked on for longer than its consumer_timeout:"
            f" switch that off there ({text})"
        )
    if "inequivalent arg" in text:
        return TopologyConflictError(
            f"{_quoted_at(text, 1)!r} is on the broker with other properties than ours: delete it"
            f" there when it is empty, and it is made anew ({text})"
        )
    return TopologyConflictError(f"broker: {PRECONDITION_FAILED} {text}")


def _missing(text: str) -> BrokerError:
    if "no exchange" not in text:
        return QueueMissingError(f"queue {_quoted(text)!r} doesn't exist")
    stream = stream_of(_quoted(text))
    what = f"stream {stream!r}" if stream else f"exchange {_quoted(text)!r}"
    cure = f": 'streamboss create-stream {stream}' creates it" if stream else ""
    return StreamMissingError(f"{what} doesn't exist{cure}")


def root_cause(error: BaseException) -> BaseException:
    """Return the error inside pika's wrapping of connection attempts."""
    while True:
        inner = getattr(error, "exceptions", None) or getattr(error, "exception", None)
        if isinstance(inner, Sequence) and inner:
            error = inner[-1]
        elif isinstance(inner, BaseException):
            error = inner
        else:
            break
    if isinstance(error, AMQPError | AMQPConnectorException) and error.args:
        first = error.args[0]
        if isinstance(first, BaseException):
            return root_cause(first)
    return error


def _short(error: BaseException) -> str:
    if isinstance(error, AMQPConnectorStackTimeout | TimeoutError):
        return "no answer in time"
    text = str(error) or type(error).__name__
    return getattr(error, "strerror", None) or text[:200]


def _quoted(text: str) -> str:
    """Return what stands between the first pair of quotes: the broker's name of a thing."""
    return _quoted_at(text, 0)


def _quoted_at(text: str, place: int) -> str:
    parts = text.split("'")[1::2]
    return parts[place] if len(parts) > place else text
