"""What happened: kept, exported, told on the stream of events. Tokens and sessions, too."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from manager.events import Event, state_changed
from manager.model import Role
from manager.sessions import Sessions, form_word, is_form_word
from manager.store import Asked, Store
from manager.teller import Teller
from manager.throttle import FREE, Throttle
from manager.users import Users
from streams import names
from streams.broker import Session
from tests.eventually import eventually
from tests.manager.serving import Api

UPPER = {"definition": {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}}
OPERATION = {
    "name": "op",
    "process_definition_id": 1,
    "input_stream": "in",
    "output_stream": "out",
}


def test_what_people_do_is_kept_with_their_name(api: Api) -> None:
    ada = api.add_user("ada")
    api.post("/api/process_definition/", UPPER, user=ada)
    api.post("/api/operations/", OPERATION, user=ada)
    api.request("PATCH", "/api/operations/op/", {"demand": "paused"})
    api.request("PATCH", "/api/operations/op/", {"demand": "paused"})  # changes nothing
    api.post("/api/operations/op/purge/", None)
    found = api.get("/api/activity/?kind=operation&by=boss").json()["objects"]
    assert [event["event"] for event in found] == ["operation.purged", "operation.changed"]
    assert found[1]["changes"] == {"demand": "paused"}
    assert found[1]["operation"] == "op"
    (made,) = api.get("/api/activity/?name=op&by=ada").json()["objects"]
    assert made["event"] == "operation.created"
    assert made["input_stream"] == "in"


def test_nothing_is_noted_of_what_was_refused(api: Api) -> None:
    viewer = api.add_user("vic", Role.VIEWER)
    assert api.post("/api/streams/", {"name": "a"}, user=viewer).status_code == 403
    assert api.get("/api/activity/?by=vic", user=viewer).json()["meta"]["total_count"] == 0


def test_the_activity_is_exported_as_lines_the_oldest_first(api: Api) -> None:
    for name in ("a", "b", "c"):
        api.post("/api/streams/", {"name": name})
    answer = api.get("/api/activity/?format=jsonl&kind=stream")
    assert answer.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["stream"] for line in lines] == ["a", "b", "c"]


def test_the_stream_of_events_gets_the_same(api: Api, session: Session) -> None:
    eventually(lambda: not api.services.runtime.problems())
    queue = str(session.channel.queue_declare("", exclusive=True).method.queue)
    session.channel.queue_bind(queue, names.exchange(names.EVENTS_STREAM))
    api.post("/api/streams/", {"name": "a"})

    def told() -> object:
        body = session.channel.basic_get(queue, auto_ack=True)[2]
        event = json.loads(body) if body else {}
        return event if event.get("event") == "stream.created" else None

    assert eventually(told) == api.get("/api/activity/?kind=stream").json()["objects"][0]
    eventually(lambda: not api.services.store.untold_events())


def test_what_is_too_old_or_too_much_is_forgotten(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=500)
    store.note_events([Event("stream.created", "old", at=long_ago)])
    store.note_events([Event("stream.created", str(number)) for number in range(5)])
    assert store.forget_events(datetime.now(UTC) - timedelta(days=400), 3) == 3
    assert [event.name for event in store.each_event(Asked())] == ["2", "3", "4"]
    assert store.page_activity(Asked(kind="stream_"), limit=9, offset=0).total == 0


class _Stream:
    def __init__(self) -> None:
        self.told: list[Event] = []

    def publish_event(self, event: Event) -> None:
        self.told.append(event)


def test_a_manager_that_begins_to_lead_tells_no_old_news(store: Store) -> None:
    Teller(store, _Stream()).tell(
        [state_changed("operation", n, before=None, after="idle", reason="") for n in ("a", "b")]
    )
    stream = _Stream()
    after = {"a": "idle", "b": "running", "c": "idle"}
    Teller(store, stream).tell(
        [state_changed("operation", n, before=None, after=s, reason="") for n, s in after.items()]
    )
    told = [(event.name, event.fields["from"], event.fields["to"]) for event in stream.told]
    assert told == [("b", "idle", "running"), ("c", None, "idle")]


def test_tokens_are_listed_with_their_use_and_revoked(api: Api) -> None:
    ada = api.add_user("ada")
    path = "/api/users/ada/tokens/"
    token = api.post(path, {"label": "nightly"}, user=ada).json()["token"]
    (shown,) = api.get(path, user=ada).json()["objects"]
    assert (shown["label"], shown["used_at"]) == ("nightly", None)
    assert token not in json.dumps(shown)
    headers = {"authorization": f"Bearer {token}"}
    assert api.get("/api/streams/", user=None, headers=headers).status_code == 200
    assert api.get(path, user=ada).json()["objects"][0]["used_at"]
    assert api.get(path, user=api.add_user("bob")).status_code == 403
    assert api.request("DELETE", shown["resource_uri"], user=ada).status_code == 204
    assert api.request("DELETE", shown["resource_uri"], user=ada).status_code == 404
    assert api.get("/api/streams/", user=None, headers=headers).status_code == 401


def test_a_session_ends_by_itself_by_logout_and_with_the_password(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, sessions = Users(store, first=("boss", "one")), Sessions(store)
    boss = users.by_password("boss", "one")
    one, two = sessions.open(boss), sessions.open(boss)
    assert sessions.find(one) == boss
    sessions.close(one)
    assert sessions.find(one) is None
    monkeypatch.setattr("manager.sessions.IDLE", timedelta(0))
    assert sessions.find(two) is None
    monkeypatch.undo()
    assert sessions.find(two) == boss
    users.change("boss", password="two", role=None)
    assert sessions.find(two) is None


def test_a_form_of_another_session_is_none_of_this_one() -> None:
    assert is_form_word("cookie", form_word("cookie"))
    assert not is_form_word("cookie", form_word("another"))
    assert not is_form_word("cookie", "")


def test_whoever_fails_often_waits_longer_each_time() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(FREE - 1):
        throttle.fail("ada", "10.0.0.1")
    assert throttle.pause_s("ada", "10.0.0.1") == 0
    pauses = []
    for _ in range(9):
        throttle.fail("ada", "10.0.0.1")
        pauses.append(throttle.pause_s("ada"))
        now[0] += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert throttle.pause_s("bob", "10.0.0.2") == 0
    throttle.fail("ada", "10.0.0.1")
    throttle.succeed("ada")
    assert throttle.pause_s("ada") == 0
    assert throttle.pause_s("ada", "10.0.0.1") > 0
    now[0] += 1000
    assert throttle.pause_s("10.0.0.1") == 0
