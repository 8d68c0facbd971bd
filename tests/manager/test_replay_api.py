"""`/api/streams/<name>/replays/`: asked for, changed and cancelled by whom it may."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from manager.model import Role
from manager.replays.replayer import Replayer
from manager.replays.state import Progress, ReplayState
from streams import names
from streams.broker import Session
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.replays.playing import Archive, Collector, numbered
from tests.manager.serving import Api, serving

REPLAYS = "/api/streams/s/replays/"


@pytest.fixture
def api(s3_settings: Settings, sqlite_url: str) -> Iterator[Api]:
    """A manager with S3, the streams `s` and `t`, and an archive of `s`."""
    archive = Archive(s3_settings)
    archive.add(numbered(*range(20)))
    with serving(s3_settings, sqlite_url) as served:
        for stream in ("s", "t"):
            assert served.post("/api/streams/", {"name": stream}).status_code == 201
        yield served


def problems(answer: Any) -> str:
    """Return what is wrong, by the answer."""
    assert answer.headers["content-type"] == "application/problem+json"
    return " ".join(answer.json()["problems"])


def test_a_replay_is_asked_for_with_everything_that_it_takes(api: Api) -> None:
    body = {
        "onto": "t",
        "from": "2026-11-25T10:00:00+01:00",
        "to": "2026-11-25T10:00:00.5Z",
        "speed": "10x",
        "limit": 5,
        "fresh_ids": True,
    }
    answer = api.post(REPLAYS, body)
    assert answer.status_code == 201
    replay = answer.json()
    assert answer.headers["location"] == replay["resource_uri"]
    assert api.get(replay["resource_uri"]).json() == replay
    wanted = {**body, "from": "2026-11-25T09:00:00+00:00", "to": "2026-11-25T10:00:00.500000+00:00"}
    assert {key: replay[key] for key in body} == wanted
    assert (replay["state"], replay["messages"], replay["owner"]) == ("running", 0, "boss")
    for listed in (REPLAYS, "/api/replays/"):
        assert api.get(listed).json()["objects"] == [replay]
    assert api.get("/api/streams/t/replays/").json()["objects"] == []


def test_without_an_end_it_ends_now(api: Api) -> None:
    replay = api.post(REPLAYS, {}).json()
    assert (replay["onto"], replay["speed"], replay["from"]) == ("s", "max", None)
    assert replay["to"] is not None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"from": "2026-11-25T10:00Z", "to": "2026-11-25T09:00Z"}, "from: is after to"),
        ({"from": "2026-11-25T10:00"}, "from"),
        ({"from": "1960-01-01T00:00Z"}, "between the years 1970 and 9999"),
        ({"speed": "fast"}, "use max, real, 10x or 100/s"),
        ({"limit": 0}, "limit"),
        ({"since": "2026-11-25T10:00Z"}, "since"),
    ],
)
def test_what_makes_no_sense_is_said(api: Api, body: dict[str, object], said: str) -> None:
    answer = api.post(REPLAYS, body)
    assert answer.status_code == 422
    assert said in problems(answer)


def test_what_isnt_there_cant_be_replayed(api: Api) -> None:
    assert api.post("/api/streams/none/replays/", {}).status_code == 404
    assert api.post(REPLAYS, {"onto": "none"}).status_code == 404
    never = api.post("/api/streams/t/replays/", {})
    assert never.status_code == 409
    assert "'t' has no archive" in problems(never)
    assert api.get("/api/replays/").json()["objects"] == []


def test_a_manager_without_s3_says_so(settings: Settings, sqlite_url: str) -> None:
    with serving(settings, sqlite_url) as api:
        api.post("/api/streams/", {"name": "s"})
        answer = api.post(REPLAYS, {})
        assert answer.status_code == 409
        assert "STREAMBOSS_BUCKET" in problems(answer)


def test_only_owners_and_admins_play_pause_and_cancel(api: Api) -> None:
    ada, eve = api.add_user("ada"), api.add_user("eve", Role.VIEWER)
    place = api.post(REPLAYS, {}).json()["resource_uri"]
    assert api.post(REPLAYS, {}, user=ada).status_code == 403  # onto a stream of somebody else's
    assert api.request("PATCH", place, {"state": "paused"}, user=ada).status_code == 403
    assert api.request("DELETE", place, user=ada).status_code == 403
    assert api.get(place, user=eve).status_code == 200
    assert api.post("/api/streams/", {"name": "mine"}, user=ada).status_code == 201
    assert api.post(REPLAYS, {"onto": "mine"}, user=ada).status_code == 201


def test_its_state_is_changed_while_it_hasnt_ended(api: Api) -> None:
    replay = api.post(REPLAYS, {}).json()
    place, store = replay["resource_uri"], api.services.store
    assert api.request("PATCH", place, {"state": "paused"}).json()["state"] == "paused"
    assert api.request("PATCH", place, {"state": "running"}).json()["state"] == "running"
    assert api.request("PATCH", place, {"state": "done"}).status_code == 422
    store.take_replay("me", others=())
    store.keep_replay("me", replay["id"], Progress(), reason="x", ended=ReplayState.FAILED)
    assert api.request("PATCH", place, {"state": "paused"}).status_code == 409
    assert api.request("PATCH", place, {"state": "running"}).json()["reason"] == ""
    store.take_replay("me", others=())
    store.keep_replay("me", replay["id"], Progress(), ended=ReplayState.DONE)
    assert api.request("PATCH", place, {"state": "running"}).status_code == 409
    assert api.request("DELETE", place).status_code == 204
    assert api.get(place).status_code == 404


def test_a_stream_that_is_being_replayed_stays(api: Api) -> None:
    place = api.post(REPLAYS, {"onto": "t"}).json()["resource_uri"]
    for stream in ("s", "t"):
        answer = api.request("DELETE", f"/api/streams/{stream}/")
        assert answer.status_code == 409
        assert "replays cancel" in problems(answer)
    api.request("DELETE", place)
    assert api.request("DELETE", "/api/streams/s/").status_code == 204


def test_each_change_of_state_is_an_event(api: Api, session: Session) -> None:
    events = Collector(session, names.EVENTS_STREAM)
    replayer = Replayer(api.settings, api.services.store)
    collector = Collector(session, "s")
    seen: list[tuple[str, str]] = []

    def told(*wanted: tuple[str, str]) -> bool:
        for message in events.take():
            event = json.loads(message.body)
            if event["event"] == "replay.state":
                seen.append((event["replay"], event["to"]))
        return set(wanted) <= set(seen)

    first = api.post(REPLAYS, {}).json()
    # what ended before the manager's first look is no news
    eventually(lambda: told((first["id"], first["state"])))
    replayer.start()
    try:
        eventually(lambda: api.get(first["resource_uri"]).json()["state"] == "done")
    finally:
        replayer.stop()
    assert collector.numbers() == list(range(20))
    second = api.post(REPLAYS, {}).json()
    api.request("PATCH", second["resource_uri"], {"state": "paused"})
    eventually(lambda: told((first["id"], "done"), (second["id"], "paused")))
    api.request("DELETE", second["resource_uri"])
    eventually(lambda: told((second["id"], "cancelled")))
