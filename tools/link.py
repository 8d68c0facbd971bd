"""A tool's connection for one stream: what becomes of it is said on stderr."""

from collections.abc import Callable, Sequence

from streams.broker import EventLoop, LoopConnection, StreamLink
from streams.errors import BrokerError, StreamMissingError
from tools import console
from tools.names import missing_stream


def linked(
    loop: EventLoop,
    urls: Sequence[str],
    stream: str,
    *,
    name: str,
    on_up: Callable[[LoopConnection], None],
    on_failed: Callable[[BrokerError], None],
) -> StreamLink:
    """Return a link that isn't open yet; `on_failed` gets an error fit for whoever typed."""

    def failed(error: BrokerError) -> None:
        on_failed(hinted(error, stream))

    return StreamLink(loop, urls, stream, name=name, on_up=on_up, on_failed=failed, say=console.say)


def hinted(error: BrokerError, stream: str) -> BrokerError:
    """Return the error, with what helps where the stream is missing."""
    missing = isinstance(error, StreamMissingError)
    return StreamMissingError(missing_stream(stream)) if missing else error
