"""Launched machines over HTTP: shown with their nodes, renewed, drained."""

from datetime import UTC, datetime, timedelta

import pytest

from manager.machines.model import Decisions, Ending, MachineRecord, Phase
from streams import control, names
from streams.broker import Session
from streams.control import Heartbeat
from streams.message import Message
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.serving import Api

NOW = datetime.now(UTC)
RECORD = MachineRecord(
    node="resize-1",
    cloud="far",
    application="resize",
    image="img-1",
    size="small",
    phase=Phase.LAUNCHING,
    why="for op",
    term=1,
    launched_at=NOW - timedelta(hours=2),
    phase_at=NOW,
    ends_at=NOW + timedelta(hours=2),
    price_per_hour=0.25,
)


@pytest.fixture
def launched(api: Api, settings: Settings) -> Api:
    """A manager that launched a machine, on a cloud that its inventory has no more."""
    del settings
    eventually(lambda: not api.services.runtime.problems(), what="it leads")
    store = api.services.store
    ready = Decisions(ready=("resize-1",), idle={"resize-1": NOW})
    assert store.decide_machines(ready, [RECORD], term=1, now=NOW)
    store.note_launched("resize-1", "i-1", NOW)
    return api


def test_a_node_shows_the_machine_that_was_launched(launched: Api) -> None:
    node = launched.get("/api/nodes/resize-1/").json()
    assert (node["cloud"], node["handle"], node["phase"]) == ("far", "i-1", "ready")
    assert (node["why"], node["size"], node["price_per_hour"]) == ("for op", "small", 0.25)
    hours = (datetime.now(UTC) - RECORD.launched_at) / timedelta(hours=1)
    assert node["price"] == pytest.approx(0.25 * hours, abs=0.01)
    assert datetime.fromisoformat(node["until"]) == RECORD.ends_at
    added = launched.post("/api/nodes/", {"name": "by-hand"}).json()
    assert (added["cloud"], added["until"], added["price"]) == (None, None, None)


def test_prometheus_counts_machines(launched: Api) -> None:
    told = launched.get("/metrics").text
    assert 'streamboss_machines{cloud="far",phase="ready"} 1.0' in told
    assert 'streamboss_machines_price{cloud="far"} 0.25' in told


def test_a_launched_node_that_is_removed_is_drained_first(launched: Api) -> None:
    assert launched.request("DELETE", "/api/nodes/resize-1/").status_code == 202
    node = launched.get("/api/nodes/resize-1/").json()
    assert node["phase"] in {"draining", "ending"}
    assert launched.request("DELETE", "/api/nodes/resize-1/").status_code == 202


def test_a_launched_node_ends_at_once_when_somebody_wants_it_now(launched: Api) -> None:
    assert launched.request("DELETE", "/api/nodes/resize-1/?now=true").status_code == 202
    machine = launched.services.store.get_machine("resize-1")
    assert (machine.phase, machine.why) == (Phase.ENDING, "removed by boss")
    (event,) = launched.get("/api/activity/?kind=node.removed").json()["objects"]
    assert (event["launched"], event["at_once"], event["by"]) == (True, True, "boss")


def test_a_node_that_is_drained_takes_nothing_new_until_it_is_resumed(
    launched: Api, session: Session
) -> None:
    launched.post("/api/nodes/", {"name": "rack"})
    beat = Heartbeat(
        node="rack", incarnation="1", slots=3, offers=("any",), cores=4, memory_total_bytes=2**30
    )
    message = Message(control.encode(beat))

    def state() -> object:
        session.publish(names.CONTROL_EXCHANGE, message, routing_key=control.heartbeat_key("rack"))
        return launched.get("/api/nodes/rack/").json()["state"]

    eventually(lambda: state() == "ready", what="it is heard")
    for draining, then in ((True, "draining"), (True, "draining"), (False, "ready")):
        answer = launched.request("PATCH", "/api/nodes/rack/", {"draining": draining})
        assert (answer.status_code, answer.json()["state"]) == (200, then)
        assert answer.json()["cores"] == 4
    told = launched.get("/api/activity/?name=rack").json()["objects"]
    said = [event["event"] for event in told if "by" in event]
    assert said == ["node.resumed", "node.drained", "node.added"]
    refused = launched.request(
        "PATCH", "/api/nodes/rack/", {"draining": True}, user=launched.add_user("ada")
    )
    assert refused.status_code == 403


def test_only_the_clock_that_is_named_starts_anew(launched: Api) -> None:
    answer = launched.post("/api/nodes/resize-1/renew/", {"clock": "idle"})
    assert answer.status_code == 200
    machine = launched.services.store.get_machine("resize-1")
    assert machine.idle_since is None or machine.idle_since > NOW
    assert machine.ends_at == RECORD.ends_at
    answer = launched.post("/api/nodes/resize-1/renew/", {"hours": 5})
    assert answer.status_code == 409
    assert "cloud 'far' isn't in the inventory any more" in answer.text
    for body in ({}, {"clock": "idle", "hours": 3}, {"hours": 0}, {"clock": "both"}):
        assert launched.post("/api/nodes/resize-1/renew/", body).status_code == 422
    assert launched.post("/api/nodes/nobody/renew/", {"clock": "idle"}).status_code == 404


def test_a_launch_lets_an_image_be_tried_again(launched: Api) -> None:
    store = launched.services.store
    failed = Decisions(ends=(Ending("resize-1", "did not boot", boot_failed=True),))
    store.decide_machines(failed, (), term=1, now=NOW)
    assert store.breakers()
    definition = {"name": "R", "application": "resize", "exec": "cat"}
    number = launched.post("/api/process_definition/", {"definition": definition}).json()["id"]
    streams = {"input_stream": "a", "output_stream": "b"}
    launched.post("/api/operations/", {"name": "op", "process_definition_id": number, **streams})
    launched.request("PATCH", "/api/operations/op/", {"demand": "always"})
    assert store.breakers() == {}
