"""Streams: make, list, remove."""

from typing import Annotated

import typer

from tools import console
from tools.commands.arguments import AsJson, Stream, Yes

app = typer.Typer()


@app.command("create-stream")
def create_stream(stream: Annotated[str, typer.Argument(metavar="STREAM")]) -> None:
    """Make a stream; one that exists already is fine.

    Example: streamboss create-stream mystream
    """
    with console.manager() as manager:
        created = manager.create_stream(stream)
    console.say(f"stream {stream!r} {'created' if created else 'exists already'}")


@app.command("remove-stream")
def remove_stream(stream: Stream, *, yes: Yes = False) -> None:
    """Remove a stream; one in use is refused.

    Example: streamboss remove-stream mystream
    """
    with console.manager() as manager:
        manager.get("streams", stream)
        console.agree(f"remove stream {stream!r}?", yes=yes)
        manager.delete("streams", stream)
    console.say(f"stream {stream!r} removed")


@app.command("streams")
def streams(*, as_json: AsJson = False) -> None:
    """List the streams, and how many consume each.

    Example: streamboss streams
    """
    with console.manager() as manager:
        console.show(
            manager.list("streams"),
            ("name", "consumers", "owner"),
            as_json=as_json,
            nothing="no streams: 'streamboss create-stream STREAM' makes one",
        )
