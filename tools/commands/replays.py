"""`stream-archive`, `replays`: an archive onto a stream again, here or by the manager."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import StreamsError
from streams.names import check_name
from tools import console
from tools.commands.arguments import AsJson, Stream
from tools.counts import count
from tools.times import instant, shown, us_of

if TYPE_CHECKING:
    from manager.replays.request import Position, ReplayRequest
    from manager.replays.speed import Speed
    from streams.objects import Objects

app = typer.Typer()
_replays = typer.Typer(invoke_without_command=True)
app.add_typer(_replays, name="replays")
_Id = Annotated[str, typer.Argument(metavar="ID", help="As 'replays' lists it.")]
_COLUMNS = ("id", "state", "stream", "onto", "from", "to", "speed", "messages", "reason")


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
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Let the manager play it: see 'replays'."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play a stream's archive onto it again, or onto another stream, in the archive's order.

    ^C pauses: everything sent is confirmed, and the command that goes on is printed. Needs the
    broker and S3 only; with --detach the manager only.

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
    if detach:
        if dry_run or resume:
            raise console.UsageError("--detach goes with neither --dry-run nor --resume")
        _give_to_manager(request, as_json=as_json)
    elif dry_run:
        _count(request, position, as_json=as_json)
    else:
        _play(request, position, as_json=as_json)


@_replays.callback()
def replays(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List the replays that the manager plays; pause, resume, cancel them.

    Example: streamboss replays

    Example: streamboss replays pause 0123456789ab
    """
    if context.invoked_subcommand is not None:
        return
    with console.manager() as manager:
        console.show(
            manager.list("replays"),
            _COLUMNS,
            as_json=as_json,
            nothing="no replays: 'streamboss stream-archive STREAM --detach' starts one",
        )


@_replays.command()
def pause(replay: _Id) -> None:
    """Pause a replay, with nothing half done.

    Example: streamboss replays pause 0123456789ab
    """
    with console.manager() as manager:
        manager.ask_replay(replay, "paused")
    console.say(f"replay {replay} is paused: 'streamboss replays resume {replay}' goes on")


@_replays.command()
def resume(replay: _Id) -> None:
    """Let a replay that is paused, or has failed, go on where it was.

    Example: streamboss replays resume 0123456789ab
    """
    with console.manager() as manager:
        manager.ask_replay(replay, "running")
    console.say(f"replay {replay} goes on")


@_replays.command()
def cancel(replay: _Id) -> None:
    """Cancel a replay, or forget one that has ended; what was played stays played.

    Example: streamboss replays cancel 0123456789ab
    """
    with console.manager() as manager:
        cancelled = manager.cancel_replay(replay)
    console.say(f"replay {replay} is gone, after {count(cancelled['messages'], 'message')}")


def _give_to_manager(request: "ReplayRequest", *, as_json: bool) -> None:
    since_us, until_us = request.since_us, request.until_us
    body = {
        "onto": request.onto,
        "from": None if since_us is None else shown(since_us),
        "to": None if until_us is None else shown(until_us),
        "speed": str(request.speed),
        "limit": request.limit,
        "fresh_ids": request.fresh_ids,
    }
    with console.manager() as manager:
        replay = manager.create_replay(request.stream, body)
    console.put(json.dumps(replay) if as_json else replay["id"])
    console.say("the manager plays it: 'streamboss replays' shows how far it is")


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
