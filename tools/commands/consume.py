"""`consume`: a stream's messages on stdout, each the moment it comes."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from streams.broker import EventLoop, Signals
from streams.errors import StreamsError
from streams.framing import Framing
from streams.names import check_name
from streams.objects import Objects
from tools import console, sinks
from tools.commands.arguments import Stream
from tools.consumer import Consumer
from tools.fetcher import Fetcher
from tools.folder import Folder
from tools.line import Line, Sink

app = typer.Typer()


@app.command()
def consume(  # noqa: PLR0917 - a command line
    stream: Stream,
    count: Annotated[int | None, typer.Option("--count", "-n", help="End after so many.")] = None,
    timeout: Annotated[float | None, typer.Option(help="End after so many seconds.")] = None,
    as_json: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--json", help="One JSON object a line, with id, time and headers.")
    ] = False,
    framing: Annotated[
        Framing | None, typer.Option(help="What ends a message on stdout; by default a newline.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Write each message to a file there; print its path.")
    ] = None,
    durable: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep a subscription: it collects also while nobody reads, and is demand.",
        ),
    ] = None,
    references: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--references", help="Show references to objects, fetch nothing.")
    ] = False,
) -> None:
    """Print each message of a stream the moment it comes, until ^C. Needs only the broker.

    What is published before somebody consumes isn't kept, but for --durable. With --count, exit
    status 1 says that fewer came within --timeout.

    Where a message refers to an object in S3, its content is fetched and takes the message's place.

    Example: streamboss consume outputstream

    Example: streamboss consume outputstream --count 10 --timeout 60 --json

    Example: streamboss consume pictures --output-dir pictures
    """
    _check(count, timeout, [as_json, framing is not None, output_dir is not None])
    check_name("stream", stream)
    if durable is not None:
        check_name("subscription", durable)
    run = _Consuming(stream, durable, count, timeout)
    run.into(as_json=as_json, framing=framing, output_dir=output_dir, references=references)
    raise typer.Exit(run.run())


def _check(count: int | None, timeout: float | None, shapes: list[bool]) -> None:
    if count is not None and count < 1:
        raise console.UsageError("--count: must be at least 1")
    if timeout is not None and timeout <= 0:
        raise console.UsageError("--timeout: must be more than 0 seconds")
    if sum(shapes) > 1:
        raise console.UsageError("--json, --framing and --output-dir: choose one of them")


class _Consuming:
    """One run of the command."""

    def __init__(
        self, stream: str, durable: str | None, count: int | None, timeout_s: float | None
    ) -> None:
        self._stream, self._durable = stream, durable
        self._count, self._timeout_s = count, timeout_s
        self._settings = console.settings()
        self._urls = self._settings.need_amqp()
        self._loop = EventLoop()
        self._ready = False
        self._interrupts = self._status = 0
        self._error: StreamsError | None = None

    def into(
        self, *, as_json: bool, framing: Framing | None, output_dir: Path | None, references: bool
    ) -> None:
        """Choose where messages go."""
        sink: Sink
        if output_dir is not None:
            sink = Folder(output_dir, console.put)
        else:
            sink = sinks.standard(self._loop, framing, as_json=as_json, on_closed=self._leave)
        fetcher = None if references else Fetcher(self._loop, Objects(self._settings.s3))
        self._line = Line(sink, fetcher)
        self._consumer = Consumer(
            self._loop,
            self._urls,
            self._stream,
            self._line,
            durable=self._durable,
            count=self._count,
            on_ready=self._told_ready,
            on_done=self._done,
        )

    def run(self) -> int:
        """Consume; return the exit status."""
        on_signal = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._consumer.stop}
        with Signals(self._loop, on_signal):
            self._consumer.open()
            try:
                self._loop.run()
            finally:
                self._line.close()
        self._loop.close()
        if self._error is not None:
            raise self._error
        return self._status

    def _told_ready(self) -> None:
        if self._ready:
            return
        self._ready = True
        if self._durable is None:
            console.say(f"consuming {self._stream}, ^C ends")
        else:
            console.say(
                f"consuming {self._stream} by the subscription {self._durable!r}: it collects, and"
                " keeps operations at work, until"
                f" 'streamboss remove-subscription {self._stream} {self._durable}'"
            )
        if self._timeout_s is not None:
            self._loop.call_later(self._timeout_s, self._over)

    def _over(self) -> None:
        self._consumer.stop()
        if self._count is not None and self._consumer.taken < self._count:
            self._error = StreamsError(
                f"{self._consumer.taken} of {self._count} messages came"
                f" within {self._timeout_s:g} s"
            )

    def _interrupt(self) -> None:
        self._interrupts += 1
        self._status = console.INTERRUPTED
        if self._interrupts > 1:
            self._loop.stop()
        self._consumer.stop()

    def _leave(self) -> None:
        """End quietly: nobody reads our stdout any more."""
        self._loop.stop()

    def _done(self, error: StreamsError | None) -> None:
        self._error = error or self._error
        self._loop.stop()
