"""Archives over HTTP: who may, what is answered, what it does on the broker."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from manager.archives import status_of
from manager.model import Archive, ArchivePhase, ArchiveState, Role, Stored
from streams.broker import Session
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.serving import Api, serving


@pytest.fixture
def api(s3_settings: Settings, sqlite_url: str) -> Iterator[Api]:
    """A manager with S3, and a stream."""
    with serving(s3_settings, sqlite_url) as served:
        assert served.post("/api/streams/", {"name": "s"}).status_code == 201
        yield served


def put(api: Api, body: object = None, **options: object) -> tuple[int, dict[str, object]]:
    answer = api.request("PUT", "/api/streams/s/archive/", body, **options)
    return answer.status_code, answer.json()


def queues(api: Api) -> dict[str, list[str]]:
    """Return the archives' queues, and what is bound to each."""
    management = api.services.runtime.broker.management  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {
        q["name"]: [] for q in management.queues() if q["name"].startswith("archives.")
    }
    for binding in management.bindings():
        if binding["destination"] in found and binding["source"].startswith("streams."):
            found[binding["destination"]].append(binding["source"])
    return found


def test_an_archive_begins_is_shown_changed_and_stopped(api: Api, bucket: str) -> None:
    status, begun = put(api)
    assert (status, begun["place"]) == (201, f"s3://{bucket}/archives/s/")
    assert (begun["messages"], begun["passive"], begun["keep_days"]) == (0, False, None)
    assert queues(api) == {"archives.s": ["streams.s"]}
    status, changed = put(api, {"passive": True, "keep_days": 30})
    assert (status, changed["passive"], changed["keep_days"]) == (200, True, 30)
    assert api.get("/api/streams/s/archive/").json()["keep_days"] == 30
    assert api.get("/api/archives/").json()["meta"]["total_count"] == 1
    answer = api.request("DELETE", "/api/streams/s/archive/")
    assert (answer.status_code, answer.json()["state"]) == (200, "stopping")
    assert queues(api) == {"archives.s": []}
    assert api.request("DELETE", "/api/streams/s/archive/").status_code == 200
    assert put(api)[0] == 201
    assert queues(api) == {"archives.s": ["streams.s"]}


def test_what_cannot_be_is_refused(api: Api) -> None:
    assert api.get("/api/streams/s/archive/").status_code == 404
    assert api.get("/api/streams/none/archive/").status_code == 404
    assert api.request("DELETE", "/api/streams/s/archive/").status_code == 404
    assert api.request("PUT", "/api/streams/none/archive/", {}).status_code == 404
    bodies: list[object] = [{"keep_days": 0}, {"keep_days": "30d"}, {"passive": 1}, {"x": 1}, []]
    for body in bodies:
        assert put(api, body)[0] == 422, body
    assert queues(api) == {}


def test_only_its_owner_and_admins_change_it(api: Api) -> None:
    ada, bob = api.add_user("ada"), api.add_user("bob")
    viewer = api.add_user("vic", Role.VIEWER)
    assert put(api, user=viewer)[0] == 403
    assert put(api, user=ada)[0] == 201
    status, problem = put(api, user=bob)
    assert status == 403
    assert "belongs to 'ada'" in str(problem["detail"])
    assert api.request("DELETE", "/api/streams/s/archive/", user=bob).status_code == 403
    assert api.get("/api/streams/s/archive/", user=viewer).status_code == 200
    assert put(api, {"keep_days": 1})[0] == 200
    assert api.request("DELETE", "/api/streams/s/archive/", user=ada).status_code == 200


def test_a_stream_with_an_archive_stays(api: Api) -> None:
    put(api)
    answer = api.request("DELETE", "/api/streams/s/")
    assert answer.status_code == 409
    assert "'streamboss stop-archiving-stream s' first" in answer.json()["detail"]


def test_without_a_bucket_or_rights_nothing_begins(
    settings: Settings, s3_settings: Settings, sqlite_url: str
) -> None:
    with serving(settings, sqlite_url) as api:
        api.post("/api/streams/", {"name": "s"})
        status, problem = put(api)
        assert status == 409
        assert "STREAMBOSS_BUCKET is not set" in str(problem["detail"])
        assert queues(api) == {}
        assert api.get("/api/archives/").json()["objects"] == []
    wrong = replace(s3_settings.s3, secret_access_key="a-wrong-one")
    with serving(replace(s3_settings, s3=wrong), sqlite_url) as api:
        status, problem = put(api)
        assert (status, queues(api)) == (409, {})
        assert "a-wrong-one" not in str(problem["detail"])


def test_an_archive_is_demand_unless_passive(api: Api) -> None:
    upper = {"name": "U", "application": "u", "exec": "tr [a-z] [A-Z]"}
    api.post("/api/process_definition/", {"definition": upper})
    ends = {"process_definition_id": 1, "input_stream": "in", "output_stream": "s"}
    assert api.post("/api/operations/", {"name": "op", "linger_s": 0, **ends}).status_code == 201

    def state() -> str:
        return str(api.get("/api/operations/op/").json()["state"])

    assert state() == "idle"
    put(api, {"passive": True})
    put(api)
    eventually(lambda: state() == "starting", what="an archive wants its stream")
    put(api, {"passive": True})
    eventually(lambda: state() == "idle", what="a passive one doesn't")
    put(api)
    eventually(lambda: state() == "starting")
    api.request("DELETE", "/api/streams/s/archive/")
    eventually(lambda: state() == "idle", what="a stopped one doesn't")


def test_each_change_of_state_is_an_event(api: Api, session: Session) -> None:
    channel = session.channel
    queue = str(channel.queue_declare("", exclusive=True).method.queue)
    channel.queue_bind(queue, "streams.streamboss.events")
    put(api)
    api.request("DELETE", "/api/streams/s/archive/")

    def next_event() -> Any:
        _, _, body = channel.basic_get(queue, auto_ack=True)
        return json.loads(body) if body else None

    states = list[str]()
    while "stopping" not in states:
        event = eventually(next_event)
        if event["event"] == "archive.state":
            assert event["archive"] == "s"
            states.append(event["to"])
    assert states in (["waiting", "stopping"], ["stopping"])


def test_the_metrics_tell_of_archives(api: Api) -> None:
    put(api)
    instant = datetime(2026, 11, 25, tzinfo=UTC)
    api.services.store.note_stored("s", Stored(1, 5, 0, 7, instant, instant, "key"))
    eventually(
        lambda: 'streamboss_archive_messages{stream="s"} 7.0' in api.get("/metrics").text,
        what="the next look shows it",
    )
    assert 'streamboss_archive_state{state="waiting",stream="s"} 1.0' in api.get("/metrics").text


@pytest.mark.parametrize(
    ("phase", "problem", "archivers", "state", "reason"),
    [
        (ArchivePhase.RECORDING, "", 1, ArchiveState.RECORDING, ""),
        (ArchivePhase.RECORDING, "", 0, ArchiveState.WAITING, "--role archiver"),
        (ArchivePhase.RECORDING, "S3 is away", 1, ArchiveState.WAITING, "S3 is away"),
        (ArchivePhase.STOPPING, "", 1, ArchiveState.STOPPING, "stores what waits"),
        (ArchivePhase.STOPPING, "S3 is away", 1, ArchiveState.STOPPING, "S3 is away"),
        (ArchivePhase.STOPPED, "", 0, ArchiveState.STOPPED, ""),
    ],
)
def test_a_state_has_its_reason(
    phase: ArchivePhase, problem: str, archivers: int, state: ArchiveState, reason: str
) -> None:
    archive = Archive("s", "ada", phase, problem=problem)
    status = status_of(archive, archivers=archivers, lag_messages=3)
    assert status.state is state
    assert reason in status.reason
    assert bool(reason) == bool(status.reason)
