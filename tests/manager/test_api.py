"""The HTTP API: what makes and changes things, against a real broker and real databases."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from manager.model import Role
from streams.broker import Channel, Session
from streams.message import Message
from tests.eventually import eventually
from tests.manager.serving import ADMIN, Api

UPPER = {"definition": {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}}
OPERATION = {
    "name": "op",
    "process_definition_id": 1,
    "input_stream": "in",
    "output_stream": "out",
}


@pytest.fixture
def pipeline(api: Api) -> Api:
    """An API that knows definition 1, and operation `op` from `in` to `out`."""
    assert api.post("/api/process_definition/", UPPER).status_code == 201
    assert api.post("/api/operations/", OPERATION).status_code == 201
    return api


def problems(answer: Any, status: int) -> list[str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status
    assert content["detail"] == "; ".join(content["problems"])
    return list(content["problems"])


def test_the_quickstarts_definition_is_registered(api_everywhere: Api) -> None:
    answer = api_everywhere.post("/api/process_definition/", UPPER)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/process_definition/1/"
    content = answer.json()
    assert (content["id"], content["version"], content["owner"]) == (1, 1, "boss")
    assert content["definition"]["exec"] == "tr [a-z] [A-Z]"
    assert content["resource_uri"] == "/api/process_definition/1/"
    assert api_everywhere.get(content["resource_uri"]).json() == content


def test_a_definition_gets_versions_and_goes(api: Api) -> None:
    api.post("/api/process_definition/", UPPER)
    changed = {"definition": {**UPPER["definition"], "timeout": 5}}
    answer = api.request("PUT", "/api/process_definition/1/", changed)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert api.request("DELETE", "/api/process_definition/1/").status_code == 204
    assert problems(api.get("/api/process_definition/1/"), 404)


def test_versions_say_who_changed_what_and_come_back(api: Api) -> None:
    ada = api.add_user("ada")
    path = "/api/process_definition/1/"
    api.post("/api/process_definition/", UPPER, user=ada)
    fields = {**UPPER["definition"], "limits": {"cpu_s": 9}, "environment": {"A": "b"}}
    api.request("PUT", path, {"definition": fields})
    first, second = reversed(api.get(f"{path}versions/", user=ada).json()["objects"])
    assert (first["changed_by"], first["changes"]) == ("ada", [])
    assert second["changed_by"] == "boss"
    assert second["changes"] == [
        {"field": "environment.A", "before": None, "after": "b"},
        {"field": "limits.cpu_s", "before": None, "after": 9},
    ]
    assert api.get(second["resource_uri"]).json() == second
    assert api.get(f"{path}versions/?limit=1").json()["objects"] == [second]
    restored = api.post(f"{first['resource_uri']}restore/", None, user=ada).json()
    assert (restored["version"], restored["definition"]) == (3, first["definition"])
    assert problems(api.post(f"{path}versions/7/restore/", None), 404)
    bob = api.add_user("bob")
    for method, place in (("GET", f"{path}versions/"), ("POST", f"{path}versions/1/restore/")):
        assert problems(api.request(method, place, user=bob), 404)


def test_everything_wrong_with_a_definition_is_said_at_once(api: Api) -> None:
    body = {"definition": {"name": 7, "exec": "x", "tiemout": 1}, "extra": 1}
    found = problems(api.post("/api/process_definition/", body), 422)
    for field in ("extra", "definition.name", "definition.application", "definition.tiemout"):
        assert any(line.startswith(f"{field}: ") for line in found), field
    assert api.get("/api/process_definition/").json()["meta"]["total_count"] == 0


def test_each_user_sees_their_own_definitions_and_admins_all(api: Api) -> None:
    ada, bob = api.add_user("ada"), api.add_user("bob")
    api.post("/api/process_definition/", UPPER, user=ada)
    path = "/api/process_definition/1/"
    assert problems(api.get(path, user=bob), 404)
    assert problems(api.request("PUT", path, UPPER, user=bob), 404)
    assert problems(api.request("DELETE", path, user=bob), 404)
    assert api.get(path, user=ADMIN).status_code == 200
    assert api.get("/api/process_definition/", user=bob).json()["objects"] == []
    found = problems(api.post("/api/operations/", OPERATION, user=bob), 422)
    assert found == ["process_definition_id: there is no process definition 1"]


def test_a_stream_is_on_the_broker_once_it_is_created(api: Api, session: Session) -> None:
    answer = api.post("/api/streams/", {"name": "a"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/streams/a/")
    session.publish("streams.a", Message(b"x"))  # raises where there is no exchange
    assert api.post("/api/streams/", {"name": "a"}).status_code == 200
    assert api.request("DELETE", "/api/streams/a/").status_code == 204
    assert problems(api.get("/api/streams/a/"), 404) == ["there is no stream 'a'"]


def test_the_slash_at_the_end_may_be_left_out(api: Api) -> None:
    assert api.post("/api/streams", {"name": "a"}).status_code == 201
    assert api.get("/api/streams/a").json()["name"] == "a"


def test_an_operation_brings_its_streams_and_queues(api: Api, session: Session) -> None:
    api.post("/api/process_definition/", UPPER)
    answer = api.post("/api/operations/", {**OPERATION, "linger_s": 5, "demand": "paused"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/operations/op/")
    content = answer.json()
    assert content.items() >= {**OPERATION, "linger_s": 5, "demand": "paused"}.items()
    assert content["instances"] == {"min": 1, "max": 1}
    for queue in ("operations.op", "operations.op.dead"):
        assert session.call(partial(_depth, queue)) == 0
    names = [item["name"] for item in api.get("/api/streams/").json()["objects"]]
    assert names == ["in", "out", "streamboss.events"]


def _depth(queue: str, channel: Channel) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_what_exists_already_is_200_if_the_same_and_409_if_not(pipeline: Api) -> None:
    assert pipeline.post("/api/operations/", OPERATION).status_code == 200
    pipeline.request("PATCH", "/api/operations/op/", {"demand": "always"})
    assert pipeline.post("/api/operations/", OPERATION).json()["demand"] == "always"
    other = {**OPERATION, "output_stream": "elsewhere", "demand": "paused"}
    (found,) = problems(pipeline.post("/api/operations/", other), 409)
    assert "output_stream is 'out', not 'elsewhere'" in found
    assert "demand is 'always', not 'paused'" in found
    assert problems(pipeline.get("/api/streams/elsewhere/"), 404)


def test_everything_wrong_with_an_operation_is_said_at_once(api: Api) -> None:
    body = {
        "name": "no good",
        "process_definition_id": 7,
        "input_stream": "same",
        "output_stream": "same",
        "linger_s": "long",
        "instances": {"min": 3, "max": 2},
        "colour": "blue",
    }
    found = problems(api.post("/api/operations/", body), 422)
    for line in (
        "name: operation name 'no good'",
        "process_definition_id: there is no process definition 7",
        "output_stream: must differ from its input stream",
        "linger_s: ",
        "instances: max must be at least min",
        "colour: unknown field",
    ):
        assert any(text.startswith(line) for text in found), (line, found)
    assert [s["name"] for s in api.get("/api/streams/").json()["objects"]] == ["streamboss.events"]


def test_of_many_who_make_the_same_at_once_one_makes_it(api_everywhere: Api) -> None:
    api = api_everywhere
    api.post("/api/process_definition/", UPPER)
    for path, body in (("/api/streams/", {"name": "a"}), ("/api/operations/", OPERATION)):
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(api.post, path, body) for _ in range(8)]
        assert sorted(a.result().status_code for a in answers) == [200] * 7 + [201]


@pytest.mark.parametrize("raw", [b"{", b"", b"[]", b'"x"', b"[" * 100_000, b"\xff", b'"\\ud800"'])
def test_a_body_that_isnt_an_object_is_422(api: Api, raw: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert problems(api.request("POST", "/api/streams/", content=raw, headers=headers), 422)


def test_a_body_is_bounded_and_must_be_json_by_its_own_word(api: Api) -> None:
    headers = {"content-type": "application/json"}
    big = b'{"name": "' + b"x" * 2_000_000 + b'"}'
    assert problems(api.request("POST", "/api/streams/", content=big, headers=headers), 413)
    assert problems(api.request("POST", "/api/streams/", data={"name": "a"}), 415)


def test_nothing_is_half_done_when_the_broker_refuses(api: Api, session: Session) -> None:
    # Given a queue of another kind where the operation's own has to be
    session.call(lambda c: c.queue_declare("operations.op.dead", durable=True))
    api.post("/api/process_definition/", UPPER)
    assert problems(api.post("/api/operations/", OPERATION), 409)
    assert problems(api.get("/api/operations/op/"), 404)
    assert problems(api.get("/api/streams/in/"), 404)
    exchanges = api.services.runtime.broker.management.exchange_names()  # type: ignore[attr-defined]
    assert not {"streams.in", "streams.out"} & set(exchanges)


def test_an_operation_is_changed_by_what_the_body_names(pipeline: Api) -> None:
    changes = {"demand": "paused", "backlog": {"max_messages": 3}, "instances": {"max": 4}}
    answer = pipeline.request("PATCH", "/api/operations/op/", changes)
    assert answer.status_code == 200
    content = pipeline.get("/api/operations/op/").json()
    assert content["demand"] == "paused"
    assert content["instances"] == {"min": 1, "max": 4}
    assert content["backlog"] == {"max_messages": 3, "max_bytes": None, "max_age_s": None}
    assert (content["linger_s"], content["revision"]) == (30, 1)
    bad = {"demand": "sometimes", "name": "other", "backlog": {"max_messages": 0}}
    assert len(problems(pipeline.request("PATCH", "/api/operations/op/", bad), 422)) == 3


def test_a_backlog_drops_the_oldest(pipeline: Api, session: Session) -> None:
    pipeline.request("PATCH", "/api/operations/op/", {"backlog": {"max_messages": 2}})
    session.call(lambda c: c.queue_bind("operations.op", "streams.in"))
    # a policy takes a moment to reach its queue
    eventually(lambda: _fill_and_purge(pipeline, session) == 2)


def _fill_and_purge(api: Api, session: Session) -> int:
    for number in range(5):
        session.publish("streams.in", Message(b"%d" % number))
    return int(api.post("/api/operations/op/purge/", None).json()["purged"])


def test_another_definition_is_another_revision(pipeline: Api) -> None:
    other = {"definition": {**UPPER["definition"], "exec": "cat"}}
    pipeline.post("/api/process_definition/", other)
    path = "/api/operations/op/"
    answer = pipeline.request("PATCH", path, {"process_definition_id": 2})
    assert answer.json()["revision"] == 2
    pipeline.request("PUT", "/api/process_definition/2/", UPPER)
    assert pipeline.get(path).json()["revision"] == 3


def test_what_is_used_stays_and_says_by_whom(pipeline: Api, session: Session) -> None:
    (used,) = problems(pipeline.request("DELETE", "/api/streams/in/"), 409)
    assert "operation 'op'" in used
    (used,) = problems(pipeline.request("DELETE", "/api/process_definition/1/"), 409)
    assert "operation 'op'" in used

    pipeline.request("DELETE", "/api/operations/op/")
    session.call(lambda c: c.queue_declare("mine", exclusive=True))
    session.call(lambda c: c.queue_bind("mine", "streams.in"))
    (used,) = problems(pipeline.request("DELETE", "/api/streams/in/"), 409)
    assert "queue 'mine'" in used
    (used,) = problems(pipeline.request("DELETE", "/api/streams/streamboss.events/"), 409)
    assert "manager's own" in used


def test_a_removed_operation_says_what_went_with_it(pipeline: Api, session: Session) -> None:
    session.call(lambda c: c.queue_bind("operations.op", "streams.in"))
    session.publish("streams.in", Message(b"x"))
    answer = pipeline.request("DELETE", "/api/operations/op/")
    assert answer.json() == {"name": "op", "messages": 1, "dead_letters": 0}
    assert problems(pipeline.get("/api/operations/op/"), 404)


def test_dead_letters_are_listed_redriven_and_purged(pipeline: Api, session: Session) -> None:
    for number in range(3):
        headers: dict[str, Any] = {"x-streamboss-reason": "exit status 65"}
        letter = Message(b"%d" % number, content_type="text/plain", headers=headers)
        session.publish("operations.dead", letter, routing_key="op")
    path = "/api/operations/op/dead-letters/"
    for _ in range(2):  # looking changes nothing
        listed = pipeline.get(path).json()
        assert [item["body"] for item in listed["objects"]] == ["0", "1", "2"]
    assert listed["objects"][0]["reason"] == "exit status 65"
    assert pipeline.post("/api/operations/op/redrive/", {"limit": 1}).json() == {"redriven": 1}
    assert pipeline.request("DELETE", path).json() == {"purged": 2}
    assert pipeline.post("/api/operations/op/purge/", None).json() == {"purged": 1}
    assert pipeline.request("POST", "/api/operations/op/redrive/").json() == {"redriven": 0}
    # what changed nothing is no event
    noted = pipeline.get("/api/activity/?kind=operation.redriven&name=op").json()["objects"]
    assert [(event["messages"], event["by"]) for event in noted] == [(1, ADMIN[0])]


def test_a_subscription_keeps_its_stream_until_it_is_removed(api: Api, session: Session) -> None:
    api.post("/api/streams/", {"name": "a.b"})
    queue = "subscriptions.a.b.mine"
    session.call(lambda c: c.queue_declare(queue, durable=True))
    session.call(lambda c: c.queue_bind(queue, "streams.a.b"))
    session.publish("streams.a.b", Message(b"x"))
    (found,) = api.get("/api/subscriptions/").json()["objects"]
    assert (found["stream"], found["name"]) == ("a.b", "mine")
    (used,) = problems(api.request("DELETE", "/api/streams/a.b/"), 409)
    assert "subscription 'mine'" in used
    assert api.request("DELETE", found["resource_uri"]).json()["messages"] == 1
    assert problems(api.get(found["resource_uri"]), 404)
    assert api.request("DELETE", "/api/streams/a.b/").status_code == 204


def test_owners_and_admins_change_others_look(pipeline: Api) -> None:
    eve, viewer = pipeline.add_user("eve"), pipeline.add_user("vera", Role.VIEWER)
    for user in (eve, viewer):
        assert pipeline.get("/api/operations/op/", user=user).status_code == 200
        for method, path, body in (
            ("PATCH", "/api/operations/op/", {"demand": "paused"}),
            ("DELETE", "/api/operations/op/", None),
            ("POST", "/api/operations/op/purge/", None),
            ("DELETE", "/api/streams/in/", None),
            ("POST", "/api/nodes/", {"name": "n"}),
            ("GET", "/api/users/", None),
        ):
            assert problems(pipeline.request(method, path, body, user=user), 403)
    assert problems(pipeline.post("/api/streams/", {"name": "x"}, user=viewer), 403)
    assert pipeline.get("/metrics", user=viewer).text.startswith("#")


def test_lists_come_in_pages_that_lead_to_one_another(api: Api) -> None:
    for number in range(4):
        api.post("/api/streams/", {"name": f"s{number}"})
    seen, path = [], "/api/streams/?limit=2"
    while path:
        page = api.get(path).json()
        seen += [item["name"] for item in page["objects"]]
        assert page["meta"]["total_count"] == 5
        path = page["meta"]["next"]
    assert seen == ["s0", "s1", "s2", "s3", "streamboss.events"]
    assert page["meta"]["previous"] == "/api/streams/?limit=2&offset=2"
    assert api.get("/api/streams/").json()["meta"]["limit"] == 20
    assert problems(api.get("/api/streams/?limit=1001"), 422)


def test_a_node_is_added_with_a_login_that_is_shown_once(api: Api) -> None:
    answer = api.post("/api/nodes/", {"name": "n1", "slots": 3})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/nodes/n1/")
    config = answer.json()["config"]
    assert (config["name"], config["offers"], config["slots"]) == ("n1", ["any"], 3)
    with Session(config["amqp_urls"], name="node") as node:
        assert node.channel.is_open
    assert "config" not in api.get("/api/nodes/n1/").json()
    assert problems(api.post("/api/nodes/", {"name": "n1"}), 409)
    assert api.request("DELETE", "/api/nodes/n1/").status_code == 204
    assert api.get("/api/nodes/").json()["objects"] == []
    assert problems(api.request("DELETE", "/api/nodes/n1/"), 404)


def test_no_path_no_method_no_name_is_answered_in_kind(api: Api) -> None:
    assert problems(api.get("/api/nothing/"), 404)
    assert problems(api.get("/api/process_definition/abc/"), 404)
    assert problems(api.get("/api/process_definition/99999999999999999999/"), 404)
    assert problems(api.get("/api/streams/%00/"), 404)
    answer = api.request("PUT", "/api/streams/x/", {})
    assert problems(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET"


def test_what_watches_over_the_manager_needs_no_login(api: Api) -> None:
    assert api.get("/healthz", user=None).json() == {"status": "ok"}
    eventually(lambda: api.get("/readyz", user=None).status_code == 200)
    assert api.get("/api/openapi.json", user=None).json()["info"]["title"] == "Streamboss"
    assert problems(api.get("/metrics", user=None), 401)
