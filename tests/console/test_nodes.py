"""Nodes, clouds and images in a browser, with machines of a cloud: seen, kept, drained, ended."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from manager.machines.ground import Desk
from manager.machines.model import Decisions, Ending, MachineRecord, Phase
from manager.model import Role
from provision import inventory
from provision import machine as tags
from provision.entries import Ec2Entry
from streams import control, names
from streams.broker import Session
from streams.control import Heartbeat, OperatorReport, OperatorState
from streams.message import Message
from tests.aws import emptied_ec2
from tests.console.looking import HOSTILE, People, must_fit
from tests.eventually import eventually
from tests.manager.machines.keeping import SECRETS, quick, write_inventory
from tests.manager.serving import Api, serving
from tests.rabbit import BrokerNode

DEFINITION = {"definition": {"name": "Resize", "application": "resize", "exec": "cat"}}
OPERATION = {
    "name": "resizing",
    "process_definition_id": 1,
    "input_stream": "pictures",
    "output_stream": "small",
    "demand": "always",
}


@pytest.fixture(scope="module")
def ec2(moto_port: int) -> Any:
    """An EC2 with one image of ours, as boto3 sees it."""
    client = emptied_ec2(moto_port)
    image = client.register_image(Name="resize-abc123", Architecture="x86_64")["ImageId"]
    told = {tags.OWNER: "tests", tags.APPLIANCE: "resize", tags.ROLE: "image", tags.HASH: "abc123"}
    client.create_tags(Resources=[image], Tags=[{"Key": k, "Value": v} for k, v in told.items()])
    return client


@pytest.fixture(scope="module")
def served(
    broker_node: BrokerNode, ec2: Any, moto_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """A manager that launches machines on that EC2, and has no credentials for another."""
    del ec2
    folder = tmp_path_factory.mktemp("manager")
    write_inventory(folder, moto_port)
    with (folder / "inventory" / "clouds.yaml").open("a") as file:
        file.write("  far: {kind: ec2, credentials: nowhere, rank: 200}\n")
    work = Desk(inventory.load(folder / "inventory"), SECRETS, folder)
    with pytest.MonkeyPatch.context() as patch, broker_node.vhost() as settings:
        patch.setattr(Ec2Entry, "grace_s", Ec2Entry.grace_s)
        patch.setattr(Ec2Entry, "interval_s", Ec2Entry.interval_s)
        patch.setattr("provision.renewing._LOGIN_S", 0.2)  # there is no real machine
        quick()
        with serving(settings, f"sqlite:///{folder}/manager.db", work) as api:
            yield api


class Agent:
    """Speaks as a node's agent does, every second from its beginning on."""

    def __init__(self, served: Api, node: str) -> None:
        self._url, self._node = served.settings.need_amqp(), node
        self.cpu_percent = 37.2
        self.works = True
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Be heard from now on."""
        if not self._thread.is_alive():
            self._thread.start()

    def end(self) -> None:
        """Be heard no more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        key = control.heartbeat_key(self._node)
        with Session(self._url, name="test") as session:
            while not self._ending.wait(1):
                session.publish(names.CONTROL_EXCHANGE, self._beat(), routing_key=key)

    def _beat(self) -> Message:
        report = OperatorReport(operation="resizing", revision=1, state=OperatorState.RUNNING)
        beat = Heartbeat(
            node=self._node,
            incarnation="1",
            slots=4,
            offers=("resize@abc123",),
            cpu_percent=self.cpu_percent,
            cores=2,
            memory_bytes=2**30,
            memory_total_bytes=4 * 2**30,
            operators=(report,) if self.works else (),
        )
        return Message(control.encode(beat))


@pytest.fixture(scope="module")
def node(served: Api) -> str:
    """A machine that came because an operation needs one; what it is called."""
    served.post("/api/process_definition/", DEFINITION)
    assert served.post("/api/operations/", OPERATION).status_code == 201

    def booting() -> object:
        nodes = served.get("/api/nodes/").json()["objects"]
        return next((n["name"] for n in nodes if n["phase"] == "booting"), None)

    return str(eventually(booting, what="a machine boots", within_s=60))


@pytest.fixture(scope="module")
def agent(served: Api, node: str) -> Iterator[Agent]:
    """The agent on that machine, which has yet to begin."""
    made = Agent(served, node)
    yield made
    made.end()


def test_a_machine_is_seen_to_boot_to_work_and_to_be_kept(
    people: People, node: str, agent: Agent
) -> None:
    page = people.enter("/nodes/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=node))
    expect(row).to_contain_text("booting")
    expect(row).to_contain_text("for resizing")
    expect(row.locator("time[data-due]")).to_have_text("in 23 h")
    agent.begin()
    expect(row).to_contain_text("ready")
    expect(row).to_contain_text("1 of 4")
    expect(row).to_contain_text("37 %")
    agent.cpu_percent = 99.0
    expect(row).to_contain_text("99 %")
    row.get_by_role("link", name=node).click()
    expect(page.get_by_role("link", name="resizing")).to_be_visible()
    page.get_by_label("Lease of").fill("72.5")
    expect(page.get_by_text(f"streamboss node renew {node} --hours 72.5")).to_be_visible()
    page.get_by_role("button", name="Renew", exact=True).click()
    expect(page.locator("main > [role=status]")).to_contain_text("72.5 h from now")
    expect(page.locator("#live time[data-due]").first).to_have_text("in 3 d")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator("main > [role=status]")).to_contain_text("idle time begins anew")
    events = page.locator(".events > li")
    expect(events.filter(has_text="was renewed: for 72.5 hours").first).to_contain_text("by boss")
    expect(events.filter(has_text="is booting")).to_contain_text("for resizing")


def test_clouds_and_images_say_what_runs_what_it_costs_and_who_uses_it(
    served: Api, people: People, node: str
) -> None:
    page = people.enter("/clouds/")
    moto, far = page.locator("#moto"), page.locator("#far")
    expect(moto).to_contain_text("answers")
    expect(moto).to_contain_text("1, at most 8")
    expect(moto.get_by_role("link", name=node)).to_be_visible()
    expect(moto).to_contain_text("Offers resize (small, 0.50/h)")
    expect(far).to_contain_text("Its credentials aren't here (nowhere)")
    page.get_by_role("navigation", name="Machines").get_by_role("link", name="Images").click()
    row = page.get_by_role("row").filter(has_text="resize-abc123")
    for part in ("current", "abc123", "resizing", "definition 1", node):
        expect(row).to_contain_text(part)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Clouds")
    (image,) = served.get("/api/images/").json()["objects"]
    assert (image["operations"], image["machines"]) == (["resizing"], [node])
    assert served.get("/api/clouds/").json()["objects"][0]["machines"] == 1


def test_an_image_that_does_not_boot_is_said_with_its_last_words(
    served: Api, people: People, node: str
) -> None:
    store = served.services.store
    machine = store.get_machine(node)
    broken = _like(machine, "broken-1")
    assert store.decide_machines(Decisions(), [broken], term=machine.term, now=machine.launched_at)
    failed = Decisions(ends=(Ending("broken-1", "not heard", boot_failed=True),))
    store.decide_machines(failed, (), term=machine.term, now=machine.launched_at)
    store.note_console("broken-1", f"kernel panic {HOSTILE}")
    page = people.enter("/clouds/", user=served.add_user("vera", Role.VIEWER), width=360)
    expect(page.locator("#moto")).to_contain_text("failed to boot 1 time in a row")
    page.get_by_text("The last it said").click()
    expect(page.get_by_label("The last lines of its console")).to_contain_text("panic <script>")
    page.goto(served.url + "/images/")
    expect(page.get_by_role("row").filter(has_text="img-broken")).to_have_count(0)
    page.goto(f"{served.url}/nodes/{node}/")
    assert page.get_by_role("button", name="Drain", exact=True).count() == 0


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_pages_of_machines_are_fit_for_everybody(
    served: Api, people: People, node: str, width: int, dark: bool
) -> None:
    page = people.enter(width=width, dark=dark)
    parts = ("/nodes/", f"/nodes/{node}/", f"/nodes/{node}/remove/", f"/nodes/{node}/terminate/")
    for path in (*parts, "/clouds/", "/images/", "/builds/", "/nodes/nobody/"):
        must_fit(page, served.url + path)


def test_a_machine_is_drained_resumed_and_ended_by_who_may(
    served: Api, people: People, ec2: Any, node: str, agent: Agent
) -> None:
    served.request("PATCH", "/api/operations/resizing/", {"demand": "paused"})
    handle = served.services.store.get_machine(node).handle
    agent.begin()
    page = people.enter(f"/nodes/{node}/", width=360)
    expect(page.locator(".state")).to_contain_text("ready")
    page.get_by_role("button", name="Drain", exact=True).click()
    expect(page.locator(".state")).to_contain_text("draining")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator(".state")).to_contain_text("ready")
    page.get_by_role("link", name="Terminate now").click()
    expect(page.get_by_text("what is on its disk is lost")).to_be_visible()
    expect(page.get_by_text(f"streamboss node remove {node} --now")).to_be_visible()
    page.get_by_role("link", name="Leave it").click()
    _refused(served, people, node)
    page.get_by_role("link", name="Terminate now").click()
    page.get_by_role("button", name="Terminate now").click()
    expect(page.locator("main > [role=status]")).to_contain_text(f"node {node} is terminated")
    expect(page.get_by_role("link", name=node)).to_have_count(0)
    (there,) = ec2.describe_instances(InstanceIds=[handle])["Reservations"]
    assert there["Instances"][0]["State"]["Name"] == "terminated"
    page.goto(f"{served.url}/activity/?name={node}")
    expect(page.locator(".events > li").first).to_contain_text("is ended (moto), was ending")
    expect(page.locator(".events > li").filter(has_text="without draining")).to_contain_text("boss")


def test_a_node_that_has_finished_says_that_it_is_drained(served: Api, people: People) -> None:
    served.post("/api/nodes/", {"name": "plain"})
    agent = Agent(served, "plain")
    agent.begin()
    try:
        page = people.enter("/nodes/")
        page.get_by_role("link", name="plain").click()
        expect(page.get_by_text("Its agent started")).to_be_visible()
        page.get_by_role("button", name="Drain", exact=True).click()
        expect(page.locator(".state")).to_contain_text("a person wants it to take nothing new")
        agent.works = False
        expect(page.locator(".state")).to_contain_text("drained: it takes nothing new")
        page.goto(f"{served.url}/nodes/")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="plain"))
        expect(row).to_contain_text("drained: it takes nothing new")
    finally:
        agent.end()


def test_a_node_added_by_hand_is_removed_with_what_that_means(served: Api, people: People) -> None:
    served.post("/api/nodes/", {"name": "rack"})
    page = people.enter("/nodes/")
    page.get_by_role("link", name="rack", exact=True).click()
    expect(page.locator(".state")).to_contain_text("its agent said nothing yet")
    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_text("agent.json is worth nothing then")).to_be_visible()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("main > [role=status]")).to_have_text("node rack removed")
    page.goto(served.url + "/nodes/rack/")
    expect(page.get_by_role("alert").last).to_contain_text("there is no node 'rack'")


def _refused(served: Api, people: People, node: str) -> None:
    """Nobody but admins ends a machine."""
    page: Page = people.enter(f"/nodes/{node}/terminate/", user=served.add_user("ada"))
    page.get_by_role("button", name="Terminate now").click()
    expect(page.get_by_role("alert").last).to_have_text(re.compile("only admins do this"))


def _like(machine: MachineRecord, name: str) -> MachineRecord:
    """Return another machine of an image of its own."""
    values = {field: getattr(machine, field) for field in MachineRecord.__dataclass_fields__}
    other = {"node": name, "image": "img-broken", "handle": None, "phase": Phase.LAUNCHING}
    return MachineRecord(**{**values, **other, "broken": "", "ready_at": None})
