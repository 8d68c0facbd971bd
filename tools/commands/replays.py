"""`stream-archive`: an archive onto a stream again."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import StreamsError
from streams.names import check_name
from tools import console
from tools.commands.arguments import AsJson, Stream
from tools.times import instant, shown, us_of

if TYPE_CHECKING:
    from manager.replays.request import Position, ReplayRequest
    from manager.replays.speed import Speed
    from streams.objects import Objects

app = typer.Typer()


@app.command("stream-archive")
def stream_archive(
    stream: Stream,
    *,
    onto: Annotated[
        str | None, typer.Option(metavar="STREAM", help="Another stream to play it onto.")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Published from then: a time, -2h, yesterday."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Published until then; by default until now.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="max, real (as it was published), 10x as fast, or 100/s.")
    ] = "max",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many messages at most.")
    ] = None,
    fresh_ids: Annotated[
        bool, typer.Option("--fresh-ids", help="New message ids, for consumers that know the old.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many messages there are, of which time.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="POSITION", help="Go on where an earlier replay ended.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play a stream's archive onto it again, or onto another stream, in the archive's order.

    ^C pauses: everything sent is confirmed, and the command that goes on is printed. Needs the
    broker and S3 only.

    Example: streamboss stream-archive mystream --onto test --from yesterday --speed 10x
    """
    from manager.replays.request import ReplayRequest

    since_us, until_us = _times(from_, to)
    replay, position = _resumed(stream, resume)
    request = ReplayRequest(
        stream=check_name("stream", stream),
        onto=check_name("stream", onto or stream),
        since_us=since_us,
        until_us=until_us,
        speed=_speed(speed),
        limit=limit,
        fresh_ids=fresh_ids,
        **({"id": replay} if replay else {}),
    )
    if dry_run:
        _count(request, position, as_json=as_json)
    else:
        _play(request, position, as_json=as_json)


def _times(from_: str | None, to: str | None) -> tuple[int | None, int]:
    """Return the bounds in us since 1970; nothing that is published later is waited for."""
    now = datetime.now().astimezone()
    since_us = None if from_ is None else us_of(instant(from_, "--from", now))
    until_us = us_of(now if to is None else instant(to, "--to", now))
    if since_us is not None and since_us > until_us:
        raise StreamsError(
            f"--from {shown(since_us)} is after --to {shown(until_us)}: nothing is between them"
        )
    return since_us, until_us


def _speed(text: str) -> "Speed":
    from manager.replays.speed import Speed, SpeedError

    try:
        return Speed.parse(text)
    except SpeedError as error:
        raise console.UsageError(f"--speed: {error}") from None


def _resumed(stream: str, resume: str | None) -> "tuple[str, Position | None]":
    """Return the id of the replay that goes on, and from where on."""
    from manager.replays.request import Position, PositionError

    if resume is None:
        return "", None
    replay, _, position = resume.partition(":")
    try:
        return replay, Position.parse(stream, position)
    except PositionError as error:
        raise console.UsageError(f"--resume: {error}") from None


def _archive_of(stream: str) -> "tuple[Objects, str]":
    """Return where the archive of `stream` is, which exists."""
    from manager.replays.selection import must_exist
    from streams.objects import Objects

    settings = console.settings()
    objects, bucket = Objects(settings.s3), settings.need_bucket()
    must_exist(objects, bucket, stream)
    return objects, bucket


def _play(request: "ReplayRequest", position: "Position | None", *, as_json: bool) -> None:
    from tools.replaying import Replaying

    urls = console.settings().need_amqp()
    objects, bucket = _archive_of(request.stream)
    replaying = Replaying(urls, objects, bucket, request, position)
    try:
        status = replaying.run()
    finally:
        if as_json:
            console.put(json.dumps(replaying.summary()))
    raise typer.Exit(status)


def _count(request: "ReplayRequest", position: "Position | None", *, as_json: bool) -> None:
    from tools.dry_run import counted

    objects, bucket = _archive_of(request.stream)
    found = counted(objects, bucket, request, position, console.say)
    for problem in found.problems:
        console.say(f"damaged: {problem}")
    console.put(json.dumps(found.as_json()) if as_json else str(found))
    raise typer.Exit(1 if found.problems else 0)
