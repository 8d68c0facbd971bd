"""Archives: begin, stop, list."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.errors import StreamsError
from tools import console, names
from tools.commands.arguments import AsJson, Stream
from tools.counts import count, days

if TYPE_CHECKING:
    from manager.client import ManagerClient

app = typer.Typer()
#: What the table shows; `--json` has all of it.
COLUMNS = (
    "stream",
    "state",
    "messages",
    "size_bytes",
    "first_at",
    "last_at",
    "lag_messages",
    "reason",
)
_ASK_S = 0.5
OneStream = Annotated[
    str | None,
    typer.Argument(metavar="STREAM", autocompletion=names.streams, help="Only this one's."),
]


@app.command("archive-stream")
def archive_stream(
    stream: Stream,
    *,
    keep: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove what is older (30d, 12h); by default nothing."),
    ] = None,
    passive: Annotated[
        bool,
        typer.Option("--passive", help="Only record what is made anyway: start no operation."),
    ] = False,
) -> None:
    """Keep everything that comes on a stream in S3; again: change how. Prints where.

    Example: streamboss archive-stream mystream --keep 30d
    """
    options = {"passive": passive, "keep_days": None if keep is None else days(keep, "--keep")}
    with console.manager() as manager:
        archive = manager.begin_archive(stream, **options)
    console.put(archive["place"])
    age = "everything" if keep is None else f"{keep} of it"
    console.say(
        f"stream {stream!r} is archived from now on, and {age} kept:"
        f" 'streamboss stop-archiving-stream {stream}' ends that"
    )


@app.command("stop-archiving-stream")
def stop_archiving_stream(
    stream: Stream,
    *,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=0, help="Seconds to wait for what isn't stored yet.")
    ] = 60,
) -> None:
    """Stop archiving a stream: what came so far is stored first. What is archived stays.

    Example: streamboss stop-archiving-stream mystream
    """
    with console.manager() as manager:
        archive = _stopped(manager, stream, timeout)
    held = count(archive["messages"], "message")
    console.say(f"stream {stream!r} is no longer archived: {held} in {archive['place']}")


def _stopped(manager: "ManagerClient", stream: str, timeout_s: float) -> dict[str, Any]:
    """Stop the archive of a stream, and wait until everything is stored."""
    archive = manager.stop_archive(stream)
    deadline = time.monotonic() + timeout_s
    while archive["state"] != "stopped":
        if time.monotonic() > deadline:
            raise StreamsError(
                f"stream {stream!r}: not everything is stored after {timeout_s:g} s"
                f" ({archive['reason']}): it goes on, 'streamboss archives' shows when it is done"
            )
        time.sleep(_ASK_S)
        archive = manager.archive(stream)
    return archive


@app.command("archives")
def archives(stream: OneStream = None, *, as_json: AsJson = False) -> None:
    """List the archives: what each holds, and how many messages it has yet to store.

    Example: streamboss archives
    """
    with console.manager() as manager:
        console.show(
            manager.list("archives") if stream is None else [manager.archive(stream)],
            COLUMNS,
            as_json=as_json,
            nothing="no archives: 'streamboss archive-stream STREAM' begins one",
        )
