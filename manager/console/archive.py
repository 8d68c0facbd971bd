"""The archive of a stream, and its replays: what is kept, since when, and playing it again."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from manager.actions import archives as actions
from manager.api.bodies import ArchiveBody, ReplayBody
from manager.api.paths import Name
from manager.api.reading import checked
from manager.api.replays import request_of
from manager.console.feed import ArchiveLook
from manager.console.forms import MENDABLE, Filled, number
from manager.console.pages import HEADERS, again, ask, done, page
from manager.console.streams import stream_of
from manager.console.visitor import Form, Here, Person
from manager.errors import InvalidError, NotFoundError
from manager.model import Archive, Tally
from manager.replays.request import Position, PositionError, ReplayRequest
from manager.replays.state import Replay, ReplayState
from streams.archive.keys import time_of, us_of

router = APIRouter(prefix="/streams/{name}")
#: What the plot may show: bars, of so many segments, back to so many hours ago.
_BARS, _MOST_SEGMENTS, _HOURS = 120, 20_000, 24
_REPLAYS = 20
_ARCHIVE, _REPLAY = ("passive", "keep_days"), ("onto", "from", "to", "speed", "limit", "fresh_ids")
Id = Annotated[str, Path(pattern="^[0-9a-z]{1,40}$")]
Hours = Annotated[int, Query(ge=1, le=24 * 366)]


@router.get("/archive/")
def show(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show what is archived of a stream, and its replays."""
    shown = _shown(here, name)
    return page(request, "archive", person, filled=Filled(_given(shown["archive"])), **shown)


@router.post("/archive/")
def begin(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Begin to archive, or change how."""
    try:
        body = checked(ArchiveBody, _archive_values(form))
        begun = actions.begin_archive(
            here.services, person.user, name, passive=body.passive, keep_days=body.keep_days
        )
    except MENDABLE as error:
        shown, sent = _shown(here, name), _sent(form, _ARCHIVE)
        return again(request, "archive", person, form=sent, error=error, fields=_ARCHIVE, **shown)
    said = f"archiving {name}" if begun else f"the archive of {name} is changed"
    return done(here, f"/streams/{name}/archive/", said)


@router.post("/archive/stop/")
def stop(here: Here, person: Person, name: Name, _: Form) -> Response:
    """Stop archiving; what waits is stored first."""
    actions.stop_archive(here.services, person.user, name)
    said = "no more is archived; what waits is stored, what was stored stays"
    return done(here, f"/streams/{name}/archive/", said)


@router.get("/archive/bars/")
def bars(here: Here, _: Person, name: Name, hours: Hours = _HOURS) -> JSONResponse:
    """Return what was stored when: pairs of milliseconds since 1970 and bytes, a bar each."""
    archive = here.services.store.get_archive(name)
    now = datetime.now(UTC)
    since = max(now - timedelta(hours=hours), archive.tally.first_at or now)
    stored = here.services.runtime.place.stored_since(name, us_of(since), most=_MOST_SEGMENTS)
    shown = {"bars": bars_of(stored, since, now), "whole": len(stored) < _MOST_SEGMENTS}
    return JSONResponse(shown, headers=HEADERS)


@router.post("/replays/")
def replay(request: Request, here: Here, person: Person, name: Name, form: Form) -> Response:
    """Begin a replay."""
    try:
        wanted = request_of(name, checked(ReplayBody, _replay_values(form)))
        _must_be(here, wanted.onto)
        made = actions.create_replay(here.services, person.user, wanted)
    except MENDABLE as error:
        shown, sent = _shown(here, name), _sent(form, _REPLAY)
        return again(request, "archive", person, form=sent, error=error, fields=_REPLAY, **shown)
    said = f"replay {made.request.id} plays onto {made.request.onto}"
    return done(here, f"/streams/{name}/archive/", said)


@router.post("/replays/{replay}/ask/")
def ask_of(here: Here, person: Person, name: Name, replay: Id, form: Form) -> Response:
    """Pause a replay, or let it go on."""
    wanted = ReplayState.PAUSED if form.get("state") == "paused" else ReplayState.RUNNING
    actions.ask_replay(here.services, person.user, name, replay, wanted)
    return done(here, f"/streams/{name}/archive/", f"replay {replay}: {wanted.value}")


@router.get("/replays/{replay}/cancel/")
def ask_cancel(request: Request, here: Here, person: Person, name: Name, replay: Id) -> Response:
    """Ask before a replay is forgotten."""
    found = here.services.store.get_replay(name, replay)
    played = found.progress.messages
    return ask(
        request,
        person,
        question=f"Cancel replay {replay}?",
        loss=f"{played:,} message{'s' * (played != 1)} went onto {found.request.onto} already; how"
        " far it was is forgotten, so it can't go on. The archive stays as it is.",
        deed="Cancel the replay",
        command=f"streamboss replays cancel {replay}",
        back=f"/streams/{name}/archive/",
    )


@router.post("/replays/{replay}/cancel/")
def cancel(here: Here, person: Person, name: Name, replay: Id, _: Form) -> Response:
    """Cancel a replay, and forget it."""
    actions.cancel_replay(here.services, person.user, name, replay)
    return done(here, f"/streams/{name}/archive/", f"replay {replay} cancelled")


def bars_of(
    stored: Iterable[tuple[int, int]], since: datetime, until: datetime
) -> list[tuple[int, int]]:
    """Return the bytes of segments in bars of equal length, those without any, too. Pure."""
    first_us, last_us = us_of(since), us_of(until)
    step_us = max(1_000_000, -(-(last_us - first_us) // _BARS))
    sums = dict.fromkeys(range(-(-max(1, last_us - first_us) // step_us)), 0)
    for us, size_bytes in stored:
        bar = min(max(0, us - first_us) // step_us, len(sums) - 1)
        sums[bar] += size_bytes
    return [((first_us + bar * step_us) // 1000, size) for bar, size in sums.items()]


def share_of(replay: Replay, archive: Archive | None) -> float | None:
    """Return how much of a replay is played, 0 to 1; None: not known. Pure.

    By messages where their number is known, else by the time of the segment that it has come to.
    """
    request, progress = replay.request, replay.progress
    if replay.state is ReplayState.DONE:
        return 1.0
    if progress.position is None:
        return 0.0
    if request.limit is not None:
        return min(1.0, progress.messages / request.limit)
    if archive is None:
        return None
    if request.since_us is None and request.until_us is None:
        return min(1.0, (progress.messages + progress.repeats) / max(1, archive.tally.messages))
    return _time_share(request, progress.position, archive.tally)


def _time_share(request: ReplayRequest, position: str, tally: Tally) -> float | None:
    first = us_of(tally.first_at) if tally.first_at else None
    last = us_of(tally.last_at) if tally.last_at else None
    begin = max((us for us in (request.since_us, first) if us is not None), default=None)
    end = min((us for us in (request.until_us, last) if us is not None), default=None)
    if begin is None or end is None or end <= begin:
        return None
    try:
        at = Position.parse(request.stream, position)
    except PositionError:
        return None
    return min(1.0, max(0.0, (at.segment.arrived_us - begin) / (end - begin)))


def _must_be(here: Here, onto: str) -> None:
    """Raise an error of the form's field if there is no such stream."""
    try:
        here.services.store.get_stream(onto)
    except NotFoundError as error:
        raise InvalidError([f"onto: {error}"]) from None


def _shown(here: Here, name: str) -> dict[str, Any]:
    """Return what the page shows."""
    look = here.feed.look(name)
    archive = look.archives.get(name)
    found = here.services.store.page_replays(stream=name, limit=_REPLAYS, offset=0)
    made = archive.made if archive else None
    return {
        "look": look,
        "stream": stream_of(look, name),
        "archive": archive,
        "place": here.services.runtime.place.of(name),
        "replays": [(r, share_of(r, made)) for r in found.items],
        "names": sorted(s.name for s in look.streams.values() if s.owner)[:500],
        "time_of": time_of,
    }


def _given(archive: ArchiveLook | None) -> dict[str, str]:
    """Return what the page's fields hold at first. Pure."""
    made = archive.made if archive else Archive("", "")
    keep = "" if made.keep_days is None else f"{made.keep_days:g}"
    return {"speed": "max", "keep_days": keep, "passive": "on" if made.passive else ""}


def _sent(form: Mapping[str, str], fields: Collection[str]) -> dict[str, str]:
    """Return what the page's fields hold after one of its forms was sent. Pure."""
    return {**_given(None), **dict.fromkeys(fields, ""), **form}


def _archive_values(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says of an archive as the API takes it. Pure."""
    keep = form.get("keep_days", "").strip()
    return {"passive": form.get("passive") == "on", "keep_days": number(keep) if keep else None}


def _replay_values(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says of a replay as the API takes it; its times are UTC. Pure."""
    said = {name: form.get(name, "").strip() for name in _REPLAY}
    values: dict[str, Any] = {name: said[name] for name in ("onto", "speed") if said[name]}
    values |= {name: f"{said[name]}+00:00" for name in ("from", "to") if said[name]}
    values["limit"] = number(said["limit"]) if said["limit"] else None
    return {**values, "fresh_ids": said["fresh_ids"] == "on"}
