"""`publish`: stdin or a file onto a stream, every message confirmed."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from streams.broker import EventLoop, Signals
from streams.errors import BrokerError, FramingError, StreamsError
from streams.framing import Framing
from streams.message import MAX_INLINE_BYTES
from tools import console
from tools.commands.arguments import Stream
from tools.files import guessed
from tools.publisher import Publisher
from tools.source import Source

app = typer.Typer()

TEXT, BINARY = "text/plain", "application/octet-stream"
_REDRAW_S = 0.1


@app.command()
def publish(
    stream: Stream,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Publish a whole file as one message.")
    ] = None,
    framing: Annotated[Framing, typer.Option(help="What ends a message of stdin.")] = Framing.LINES,
    content_type: Annotated[
        str | None, typer.Option(help="Of each message; text/plain for lines of text.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="So many messages a second at most.")] = None,
) -> None:
    """Publish each line of stdin as a message, until end of file or ^C.

    Ends when the broker has confirmed every message. Needs only the broker.

    Example: echo "Some text" | streamboss publish mystream

    Example: streamboss publish pictures --file picture.png
    """
    if rate is not None and rate <= 0:
        raise console.UsageError("--rate: must be more than 0 messages a second")
    body = None if file is None else _content(file)
    urls = console.settings().need_amqp()
    kind = _typed(file, framing, content_type)
    ending = _Publishing(urls, stream, body, framing=framing, content_type=kind, rate=rate).run()
    raise typer.Exit(ending)


def _content(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size <= MAX_INLINE_BYTES:
            return file.read_bytes()
    except OSError as error:
        raise StreamsError(f"{file}: {error.strerror}") from None
    raise StreamsError(f"{file}: {size} bytes: a message holds {MAX_INLINE_BYTES} at most")


def _typed(
    file: Path | None, framing: Framing, chosen: str | None
) -> Callable[[bytes], str | None]:
    """Return what tells a message's content type.

    A text file goes without one: only so it reaches a program byte for byte.
    """
    if chosen is not None:
        return lambda _body: chosen
    if file is not None:
        kind = guessed(file.name)
        known = None if kind is None or kind.startswith("text/") else kind
        return lambda _body: known
    if framing in {Framing.LINES, Framing.NUL}:
        return lambda body: TEXT if _is_text(body) else BINARY
    return lambda _body: BINARY


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Publishing:
    """One run of the command."""

    def __init__(
        self,
        urls: tuple[str, ...],
        stream: str,
        body: bytes | None,
        *,
        framing: Framing,
        content_type: Callable[[bytes], str | None],
        rate: float | None,
    ) -> None:
        self._loop = EventLoop()
        self._body, self._stream = body, stream
        self._publisher = Publisher(
            self._loop,
            urls,
            stream,
            content_type=content_type,
            rate=rate,
            on_room=self._read,
            on_done=self._done,
        )
        self._source: Source | None = None
        if body is None:
            self._source = Source(
                self._loop,
                sys.stdin.fileno(),
                framing,
                on_messages=self._take,
                on_problem=self._refuse,
            )
        self._interrupts = 0
        self._error: StreamsError | None = None
        self._status = 0

    def run(self) -> int:
        """Publish all of it; return the exit status."""
        on_signal = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate}
        with Signals(self._loop, on_signal), self._progress():
            self._publisher.open()
            if self._source is None:
                self._publisher.publish([self._body or b""])
                self._publisher.finish()
            elif sys.stdin.isatty():
                console.say("type messages, one a line; ^D or ^C ends")
            self._loop.run()
        self._loop.close()
        return self._tell()

    def _read(self) -> None:
        if self._source is not None:
            self._source.read(wanted=self._publisher.has_room)

    def _take(self, bodies: list[bytes]) -> None:
        self._publisher.publish(bodies)
        if self._source is not None and self._source.over:
            self._publisher.finish()
        else:
            self._read()

    def _refuse(self, error: FramingError) -> None:
        self._error = StreamsError(f"stdin: {error}")
        self._publisher.finish()

    def _terminate(self) -> None:
        if self._source is not None:
            self._source.stop()
        self._publisher.finish(at_once=True)

    def _interrupt(self) -> None:
        self._interrupts += 1
        self._status = console.INTERRUPTED
        if self._interrupts > 1:
            self._loop.stop()
            return
        if self._publisher.unconfirmed:
            console.say("waiting for the broker's confirms; ^C again gives up")
        self._terminate()

    def _done(self, error: BrokerError | None) -> None:
        self._error = error or self._error
        self._loop.stop()

    def _tell(self) -> int:
        publisher = self._publisher
        if publisher.uncollected > 1:
            total = publisher.confirmed
            console.say(f"{publisher.uncollected} of {total} messages were collected by nobody")
        lost = ""
        if publisher.unconfirmed:
            lost = f"{publisher.unconfirmed} messages may not have arrived: nobody confirmed them"
        if self._error is not None:
            raise StreamsError("; ".join(filter(None, (str(self._error), lost))))
        if lost:
            console.say(lost)
        return self._status

    @contextmanager
    def _progress(self) -> Iterator[None]:
        """Show how far a file is, on a terminal."""
        size = len(self._body) if self._body is not None else None
        if self._source is not None:
            size = self._source.size_bytes
        if size is None or not sys.stderr.isatty():
            yield
            return
        from tools.progress import bar

        with bar(f"publishing to {self._stream}", size) as show:
            self._loop.call_later(_REDRAW_S, redraw := self._redrawing(show, size))
            yield
            redraw(last=True)

    def _redrawing(
        self, show: Callable[[int, int, int | None], None], size: int
    ) -> Callable[..., None]:
        def redraw(*, last: bool = False) -> None:
            whole = self._body is not None
            read = self._source.read_bytes if self._source else len(self._body or b"")
            confirmed = self._publisher.confirmed
            show(read if confirmed or not whole else 0, confirmed, size)
            if not last:
                self._loop.call_later(_REDRAW_S, redraw)

        return redraw
