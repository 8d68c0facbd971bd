"""`stream-file`: files of any size onto a stream, as references to objects in S3."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import StreamsError
from streams.names import check_name
from tools import console
from tools.commands.arguments import AsJson, Stream

if TYPE_CHECKING:
    from tools.files import Planned
    from tools.sender import Sender, Sent

app = typer.Typer()

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@app.command()
def stream_file(  # noqa: PLR0917 - a command line
    stream: Stream,
    bucket: Annotated[str, typer.Argument(metavar="BUCKET")],
    filenames: Annotated[list[str], typer.Argument(metavar="FILENAME...")],
    key: Annotated[
        str | None,
        typer.Option(help="The object's key; with a slash at its end, a folder for several files."),
    ] = None,
    content_type: Annotated[
        str | None, typer.Option(help="Of each object; guessed by the file's name.")
    ] = None,
    force: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--force", help="Send also what is there with the same content.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Upload files to a bucket in S3, and publish a reference to each on a stream.

    Whoever gets the message gets the file's content: operations on their program's stdin, 'consume'
    on stdout. A reference is published once its file is stored whole. A file that is there already
    with the same content isn't sent again. The bucket is made if need be. Needs only broker and S3.

    Example: streamboss stream-file mystream tmpdata myhugefile.dat

    Example: streamboss stream-file pictures tmpdata 'photos/**/*.jpg' --key photos/
    """
    from streams.objects import Objects
    from tools.files import plan
    from tools.sender import Sender

    check_name("stream", stream)
    files = plan(filenames, key, content_type)
    settings = console.settings()
    sender = Sender(Objects(settings.s3), settings.need_amqp(), stream, bucket, force=force)
    if sender.prepare():
        console.say(f"made the bucket {bucket!r}")
    with _ending_in_order():
        _send(sender, files, stream, as_json=as_json)


def _send(sender: "Sender", files: "Sequence[Planned]", stream: str, *, as_json: bool) -> None:
    from tools.progress import transfer

    for number, file in enumerate(files):
        try:
            with transfer(file.path.name, file.size) as on_bytes:
                sent = sender.send(file, on_bytes)
        except StreamsError as error:
            raise StreamsError(f"{error}{_left_over(files, number)}") from None
        _tell(file, sent, stream, as_json=as_json)


def _left_over(files: "Sequence[Planned]", failed: int) -> str:
    left = [str(file.path) for file in files[failed + 1 :]]
    return f"; not sent either: {', '.join(left)}" if left else ""


def _tell(file: "Planned", sent: "Sent", stream: str, *, as_json: bool) -> None:
    if not sent.collected:
        console.say(f"nobody collects {stream!r}: the broker drops what is published")
    if as_json:
        facts = asdict(sent)
        console.put(json.dumps({"file": str(file.path), **facts.pop("reference"), **facts}))
        return
    what = "uploaded" if sent.uploaded else "there already"
    console.put(
        f"{file.path}: {sent.reference}, {sent.reference.size:,} bytes, {what};"
        f" reference published on {stream}"
    )


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Take an ending for ^C, so that an upload removes its parts; a second one ends at once."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        for each in _ENDINGS:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    for each in _ENDINGS:
        signal.signal(each, end)
    try:
        yield
    except KeyboardInterrupt:
        console.say("interrupted: the same command goes on; what is stored isn't sent again")
        sys.exit(console.INTERRUPTED)
