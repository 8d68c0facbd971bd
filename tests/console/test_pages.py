"""The pages of the console in a real browser: what they show, live, to whom, and how."""

import re
import time
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from manager.model import Role
from streams import control, names
from streams.broker import Channel, Session
from streams.control import Counters, Heartbeat, LogLines, OperatorReport, OperatorState
from streams.message import Message
from tests.console.looking import HOSTILE, People, harm, must_fit, reach
from tests.eventually import eventually
from tests.manager.serving import Api

UPPER = {"definition": {"name": "Upper", "application": "any", "exec": "tr [a-z] [A-Z]"}}
OPERATION = {
    "name": "upper",
    "process_definition_id": 1,
    "input_stream": "in",
    "output_stream": "out",
}
EVERY = [
    "/",
    "/streams/",
    "/streams/in/",
    "/streams/in/archive/",
    "/operations/",
    "/operations/upper/",
]
EVERY += ["/new/stream/", "/new/operation/"]
EVERY += ["/operations/upper/dead-letters/", "/operations/upper/purge/", "/login/", "/nothing/"]


@pytest.fixture(scope="module")
def filled(served: Api, broker: Session) -> Api:
    """A pipeline, and dead letters of all kinds."""
    assert served.post("/api/process_definition/", UPPER).status_code == 201
    assert served.post("/api/operations/", OPERATION).status_code == 201
    for number, reason in enumerate(("exit status 1", "timed out after 60 s", HOSTILE)):
        headers = {
            "x-streamboss-reason": reason,
            "x-streamboss-attempts": 4,
            "x-streamboss-stderr": f"Traceback {HOSTILE}",
        }
        letter = Message(HOSTILE.encode(), f"letter-{number}", "text/plain", headers=headers)
        broker.publish("operations.dead", letter, routing_key="upper")
    return served


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_page_is_fit_for_everybody(
    filled: Api, people: People, width: int, dark: bool
) -> None:
    page = people.enter(width=width, dark=dark)
    for path in EVERY:
        must_fit(page, filled.url + path)


def test_the_keyboard_alone_leads_everywhere(filled: Api, people: People) -> None:
    page = people.enter("/operations/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    link = page.get_by_role("link", name="upper")
    for _ in range(15):
        page.keyboard.press("Tab")
        if link.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Operation upper")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Operations")


def test_by_keyboard_alone_things_are_made_and_changed(filled: Api, people: People) -> None:
    filled.post("/api/nodes/", {"name": "keys"})
    page = people.enter("/definitions/new/")
    keys, button = page.keyboard, partial(page.get_by_role, "button", exact=True)
    for field, text in (("Name", "Keys"), ("Application", "any"), ("Program", "cat")):
        _type(page, field, text)
    reach(page, button(name="Register"))
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Definition Keys")
    reach(page, page.get_by_role("link", name="New operation with it"))
    keys.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    for field, text in (("Name", "keys"), ("Takes from stream", "in"), ("Puts onto stream", "k")):
        _type(page, field, text)
    reach(page, page.get_by_label("Works", exact=True))
    keys.press("ArrowDown")
    reach(page, button(name="Create"))
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Operation keys")
    assert filled.get("/api/operations/keys/").json()["demand"] == "always"
    reach(page, button(name="Stop"))
    keys.press("Enter")
    expect(page.get_by_role("status")).to_have_text("stop: done")
    page.goto(filled.url + "/streams/in/archive/")
    _type(page, "Keep for days", "0")
    keys.press("Enter")
    expect(page.locator("#about-keep_days .wrong")).to_be_visible()
    page.goto(filled.url + "/nodes/")
    reach(page, page.get_by_role("link", name="keys", exact=True))
    keys.press("Enter")
    reach(page, button(name="Drain"))
    keys.press("Enter")
    reach(page, button(name="Resume"))
    page.goto(filled.url + "/account/")
    _type(page, "New token for", "keys")
    keys.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("shown this once")


def test_the_drawing_leads_to_what_it_shows(filled: Api, people: People) -> None:
    page = people.enter()
    expect(page.locator("#graph[data-nodes]")).to_be_visible()
    assert int(page.locator("#graph").get_attribute("data-nodes") or 0) >= 3
    page.get_by_label("Near").fill("upper")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile(r"around=upper"))
    expect(page.get_by_role("listitem").filter(has_text="upper")).to_be_visible()


def test_a_stream_without_an_operation_is_in_the_list(filled: Api, people: People) -> None:
    filled.post("/api/streams/", {"name": "lone"})
    page = people.enter("/?around=lone")
    expect(page.locator(".paths li")).to_have_text(re.compile("lone"))
    expect(page.locator(".paths").get_by_role("link", name="lone")).to_be_visible()


def test_a_search_without_a_hit_says_so(filled: Api, people: People) -> None:
    page = people.enter()
    page.goto(filled.url + "/?around=nonsense")
    expect(page.locator("#live")).to_contain_text("Nothing has “nonsense” in its name")
    expect(page.locator("#graph")).to_be_hidden()
    expect(page.locator("#live")).not_to_contain_text("neighbours")


def test_what_a_program_just_made_has_its_page_at_once(filled: Api, people: People) -> None:
    page = people.enter("/streams/")
    for number in range(5):
        made = filled.post("/api/streams/", {"name": f"just-made-{number}"})
        assert made.status_code == 201
        page.goto(f"{filled.url}/streams/just-made-{number}/")
        assert page.get_by_role("heading", level=1).inner_text() == f"Stream just-made-{number}"


def test_a_large_drawing_can_still_be_read(filled: Api, people: People) -> None:
    for number in range(8):
        _lengthen(filled, number)
    page = people.enter("/?around=long4", width=360)
    graph, tools = page.locator("#graph"), page.locator("#graph-tools")
    expect(graph).to_have_attribute("data-nodes", "17")
    expect(tools).to_be_visible()
    legible = graph.get_attribute("data-zoom") or ""
    tools.get_by_role("button", name="All of it").click()
    whole = graph.get_attribute("data-zoom") or ""
    assert float(whole) < float(legible)
    tools.get_by_role("button", name="Larger").click()
    chosen = graph.get_attribute("data-zoom") or ""
    assert float(chosen) > float(whole)
    _lengthen(filled, 8)
    expect(graph).to_have_attribute("data-nodes", "19")
    assert graph.get_attribute("data-zoom") == chosen
    page.goto(filled.url + "/?around=upper")
    expect(page.locator("#graph[data-nodes]")).to_be_visible()
    expect(tools).to_be_hidden()


def test_names_break_where_they_are_joined_and_no_box_is_just_cut_off(
    filled: Api, people: People
) -> None:
    names = {"name": "camera-north_publishes.to-every.other", "input_stream": "camera-north"}
    names["output_stream"] = "a" * 60
    after = {"name": "after", "input_stream": "a" * 60, "output_stream": "b" * 60}
    for made in (names, after):
        assert filled.post("/api/operations/", {**OPERATION, **made}).status_code == 201
    page = people.enter("/?around=camera-north", width=1280)
    expect(page.locator("#graph[data-nodes]")).to_be_visible()
    pieces = page.evaluate(_PIECES)
    told = ["○ camera-", "north_", "publishes.", "to-", "every.", "other\nidle"]
    assert pieces["operation " + names["name"]] == told
    assert [len(piece) for piece in pieces["stream " + "a" * 60]] == [24, 24, 12]
    for width in range(1280, 620, -20):
        page.set_viewport_size({"width": width, "height": 900})
        assert not 0.95 < page.evaluate(_SEEN) < 1, width


def test_the_page_scrolls_over_the_drawing_which_two_fingers_move(
    filled: Api, people: People
) -> None:
    page = people.enter("/?around=upper", width=360)
    page.set_viewport_size({"width": 360, "height": 700})
    graph = page.locator("#graph")
    expect(graph.locator("canvas").first).to_be_visible()
    graph.hover()
    zoom, at = _zoom(page), _scrolled(page)
    page.mouse.wheel(0, 50)
    eventually(lambda: _scrolled(page) == at + 50)
    _touch(page, *([(180, 450 - 10 * step)] for step in range(10)))
    eventually(lambda: _scrolled(page) > at + 100)
    assert _zoom(page) == zoom
    _touch(page, *([(180 - apart, 250), (180 + apart, 250)] for apart in (40, 60, 80)))
    assert _zoom(page) == pytest.approx(2 * zoom)
    page.mouse.move(180, 250)
    page.keyboard.down("Control")
    # a page that was scrolled just now isn't zoomed
    eventually(lambda: _turn_wheel(page) < 2 * zoom)
    page.keyboard.up("Control")
    page.get_by_role("button", name="All of it").click()
    box = graph.bounding_box()
    assert box
    # a tap leads to what is there
    _touch(page, [(180, int(box["y"]) + 35)])
    expect(page.get_by_role("heading", level=1)).to_have_text("Stream in")


def test_changes_appear_by_themselves_in_all_browsers(filled: Api, people: People) -> None:
    one, two = people.enter("/streams/"), people.enter("/operations/upper/", width=360)
    filled.post("/api/streams/", {"name": "appears"})
    expect(one.get_by_role("link", name="appears")).to_be_visible()
    one.goto(filled.url + "/operations/upper/")
    one.get_by_role("button", name="Stop", exact=True).click()
    expect(one.get_by_role("status")).to_have_text("stop: done")
    expect(two.locator(".state")).to_contain_text("stopped by a person")
    expect(one.locator(".state")).to_contain_text("stopped by a person")
    two.get_by_role("button", name="Resume", exact=True).click()
    expect(one.locator(".state")).to_contain_text("idle")
    one.get_by_label("Instances from").fill("3")
    one.get_by_role("button", name="Set", exact=True).click()
    expect(one.get_by_role("alert").last).to_contain_text("max must be at least min (3)")
    by = filled.get("/api/activity/?name=upper&by=boss").json()["objects"]
    assert [event["changes"]["demand"] for event in by[:2]] == ["consumers", "paused"]


def test_a_viewer_looks_and_changes_nothing(filled: Api, people: People) -> None:
    page = people.enter("/operations/upper/", user=filled.add_user("vera", Role.VIEWER))
    expect(page.get_by_role("heading", level=1)).to_have_text("Operation upper")
    assert page.get_by_role("button", name="Launch").count() == 0
    page.goto(filled.url + "/operations/upper/purge/")
    page.get_by_role("button", name="Purge", exact=True).click()
    expect(page.get_by_role("alert").last).to_contain_text("may only look")


def test_the_tail_shows_messages_as_what_they_are(
    filled: Api, people: People, broker: Session
) -> None:
    page = people.enter("/streams/in/")
    state, tail = page.locator("#tail-state"), page.locator("#tail")
    expect(state).to_have_text("live")
    send = partial(_send, broker, page, "in")
    assert send(HOSTILE.encode(), "text/plain") == (
        "<script>alert(1)</script><img src=x onerror=alert(1)>⟨U+001B⟩[31m⟨U+202E⟩gnp.exe⟨U+009B⟩0m"
    )
    assert harm(page) == []
    assert send(b'{"a":[1]}', "application/json") == '{\n  "a": [\n    1\n  ]\n}'
    assert "ff fe 00" in send(b"\xff\xfe\x00", "text/plain")
    assert send(b"x" * 50_000_000, "text/plain").startswith("xxx")
    expect(tail).to_contain_text("48 MiB")
    broker.publish("streams.in", Message(_PIXEL, content_type="image/png"))
    expect(tail.get_by_role("img")).to_be_visible()
    assert tail.get_by_role("img").evaluate("e => e.naturalWidth") == 1
    assert not filled.get("/api/streams/in/").json()["consumers"]  # a look is no demand
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(state).to_contain_text("paused")
    broker.publish("streams.in", Message(b"unseen"))
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(state).to_have_text("live")
    page.get_by_label("Show as").select_option("hex")
    expect(state).to_have_text("live")
    assert "68 65 78" in send(b"hex", "text/plain")
    expect(tail).not_to_contain_text("unseen")


def test_a_fast_stream_is_sampled_and_the_page_bounded(
    filled: Api, people: People, broker: Session
) -> None:
    page = people.enter("/streams/in/")
    expect(page.locator("#tail-state")).to_have_text("live")
    for number in range(1000):
        broker.channel.basic_publish("streams.in", "", b"%d" % number)
    expect(page.locator("#tail-state")).to_contain_text("only some are shown")
    expect(page.locator("#tail li").first).to_contain_text("999")
    assert page.locator("#tail li").count() <= 200


def test_the_keyboard_passes_the_tail_by_and_times_go_on(
    filled: Api, people: People, broker: Session
) -> None:
    page = people.enter("/streams/in/")
    expect(page.locator("#tail-state")).to_have_text("live")
    long = "\n".join(map(str, range(200)))
    for body in ("short", long, "short again"):
        _send(broker, page, "in", body.encode(), "text/plain")
    stops = page.locator("#tail pre[tabindex='0']")
    expect(stops).to_have_count(1)
    expect(stops).to_contain_text("199")
    expect(page.locator("#tail li time").last).to_have_text(re.compile(r"^\d+ (s|min) ago$"))


def test_a_test_message_is_published_and_seen(filled: Api, people: People) -> None:
    idle = {"name": "dreamer", "input_stream": "dreams", "output_stream": "dreamt"}
    assert filled.post("/api/operations/", {**OPERATION, **idle}).status_code == 201
    watching = people.enter("/streams/dreams/")
    expect(watching.locator("#tail-state")).to_have_text("live")
    page = people.enter("/streams/dreams/")
    expect(page.locator("#tail-state")).to_have_text("live")
    page.get_by_label("Message", exact=True).fill("grüße")
    page.get_by_role("button", name="Publish", exact=True).click()
    # to look isn't to collect
    expect(page.locator("#published .warn")).to_contain_text("nobody collects this stream now")
    expect(page.locator("#published .warn")).to_contain_text("dreamer takes something once")
    # the page stays, and its tail shows the message, too
    expect(page.locator("#tail")).to_contain_text("grüße")
    page.get_by_label("Content type").fill("grüße")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("#published .bad")).to_contain_text("must be printable ASCII")
    expect(watching.locator("#tail")).to_contain_text("grüße")


def test_dead_letters_are_seen_and_given_back(filled: Api, people: People, broker: Session) -> None:
    page = people.enter("/operations/upper/dead-letters/")
    expect(page.locator(".letters > li")).to_have_count(3)
    headers = {"x-streamboss-reason": "came while somebody looked"}
    broker.publish(
        "operations.dead", Message(b"late", "late", headers=headers), routing_key="upper"
    )
    expect(page.get_by_role("heading", name="came while somebody looked")).to_be_visible()
    page.goto(page.url + "?find=came")
    other = people.enter("/operations/upper/dead-letters/?find=came")
    page.get_by_role("button", name="Redrive this one", exact=True).click()
    expect(page).to_have_url(re.compile(r"find=came$"))
    expect(other.locator(".letters > li")).to_contain_text("None with")
    page.goto(filled.url + "/operations/upper/dead-letters/")
    expect(page.get_by_text("timed out after 60 s")).to_be_visible()
    page.locator(".letters > li").nth(2).get_by_role(
        "button", name="Redrive this one", exact=True
    ).click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter sent back")
    page.get_by_label("Reason or stderr").fill("TIMED OUT")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator(".letters > li")).to_have_count(1)
    page.get_by_role("button", name="Redrive those").click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter sent back")
    page.get_by_role("link", name="Throw all away").click()
    expect(page.get_by_text("1 dead letter will be lost")).to_be_visible()
    page.get_by_role("button", name="Throw away").click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter thrown away")
    page.goto(filled.url + "/operations/upper/purge/")
    expect(page.get_by_text("3 messages will be lost")).to_be_visible()
    taken = [broker.call(_take)[1] for _ in range(3)]
    assert [one.message_id for one in taken if one] == ["late", "letter-2", "letter-1"]


def test_a_dead_letter_of_any_kind_harms_nobody(
    filled: Api, people: People, broker: Session
) -> None:
    harmed = {**OPERATION, "name": "harmed", "output_stream": "nowhere"}
    assert filled.post("/api/operations/", harmed).status_code == 201
    headers = {f"x-streamboss-{n}": HOSTILE for n in ("reason", "stderr", "node", "failed-at")}
    for body, kind in (
        (b"x" * 50_000_000, "text/plain"),
        (b"\xff\xfe<script>alert(1)</script>", "text/html"),
        (HOSTILE.encode(), "image/png"),
        (HOSTILE.encode(), "application/json"),
    ):
        # a foreign client's ids and kinds may be anything, too
        letter = Message(body, HOSTILE, kind, headers=headers)
        broker.publish("operations.dead", letter, routing_key="harmed")
    page = people.enter("/operations/harmed/dead-letters/", width=360)
    expect(page.locator(".letters > li")).to_have_count(4)
    must_fit(page, f"{filled.url}/operations/harmed/dead-letters/")
    expect(page.locator(".letters > li").first).to_contain_text("48 MiB")
    expect(page.locator(".letters > li").last).to_contain_text("<script>")
    assert len(page.content()) < 1_000_000


def test_what_programs_said_and_how_they_ended_appears(
    filled: Api, people: People, broker: Session
) -> None:
    filled.post("/api/nodes/", {"name": "n1"})
    page = people.enter("/operations/upper/")
    lines = LogLines(node="n1", operation="upper", at=0.0, lines=(f"said {HOSTILE}",))
    report = OperatorReport(
        operation="upper",
        revision=1,
        state=OperatorState.RUNNING,
        started_at=time.time() - 7200,
        counters=Counters(
            acknowledged=4321,
            in_hand=5,
            exit_statuses={"0": 12, "65": 3},
            latency_p99_s=0.25,
            restarts=2,
        ),
    )
    other = report.model_copy(update={"state": OperatorState.FAILED, "reason": f"it {HOSTILE}"})
    operators = (report, other)
    beat = Heartbeat(node="n1", incarnation="1", slots=2, offers=("any",), operators=operators)
    for said, key in ((lines, control.log_key("n1")), (beat, control.heartbeat_key("n1"))):
        broker.publish(names.CONTROL_EXCHANGE, Message(control.encode(said)), routing_key=key)
    expect(page.get_by_label("stderr, the newest last")).to_contain_text("said <script>")
    expect(page.get_by_label("6 times 65")).to_be_visible()
    rows = page.get_by_role("region", name="Table of operators").locator("tbody tr")
    for part in ("running", "2 h ago", "4,321"):
        expect(rows.first).to_contain_text(part)
    expect(rows.last).to_contain_text("it <script>")
    assert harm(page) == []
    rows.first.get_by_role("link", name="n1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Node n1")
    page.go_back()
    expect(page.get_by_text("250 ms")).to_be_visible()


def test_a_lost_manager_is_shown_and_heals(filled: Api, people: People) -> None:
    page = people.enter("/streams/")
    expect(page.locator("#lost")).to_be_hidden()
    # nothing is heard any more, as when a machine sleeps or a cable is out
    page.evaluate(
        "() => { window.Heard = EventSource; EventSource = class extends EventTarget {"
        " close() {} } ; document.dispatchEvent(new Event('visibilitychange')) }"
    )
    expect(page.locator("#lost")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("mean")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator("#lost")).to_contain_text("Nothing was sent")
    expect(page.get_by_label("Name", exact=True)).to_have_value("mean")
    filled.post("/api/streams/", {"name": "meanwhile"})
    page.evaluate(
        "() => { EventSource = Heard; document.dispatchEvent(new Event('visibilitychange')) }"
    )
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.get_by_role("link", name="meanwhile")).to_be_visible()


def _lengthen(api: Api, number: int) -> None:
    """Put one more operation at the end of a chain."""
    ends = {"input_stream": f"long{number}", "output_stream": f"long{number + 1}"}
    made = api.post("/api/operations/", {**OPERATION, "name": f"z{number}", **ends})
    assert made.status_code == 201


def _zoom(page: Page) -> float:
    return float(page.locator("#graph").get_attribute("data-zoom") or 0)


def _turn_wheel(page: Page) -> float:
    page.mouse.wheel(0, 10)
    return _zoom(page)


def _scrolled(page: Page) -> int:
    return int(page.evaluate("window.scrollY"))


def _touch(page: Page, *moves: list[tuple[int, int]]) -> None:
    """Put fingers down at the first places, move them to the others, and lift them."""
    screen = page.context.new_cdp_session(page)
    screen.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for number, fingers in enumerate((*moves, [])):
        kind = "touchMove" if fingers and number else "touchEnd" if number else "touchStart"
        points = [{"x": x, "y": y} for x, y in fingers]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def _take(channel: Channel) -> Any:
    return channel.basic_get("operations.upper", auto_ack=True)


def _type(page: Page, field: str, text: str) -> None:
    """Type into a field that the keyboard leads to."""
    reach(page, page.get_by_label(field, exact=True))
    page.keyboard.type(text)


def _send(broker: Session, page: Page, stream: str, body: bytes, kind: str) -> str:
    """Publish a message and return how the tail shows it."""
    rows = page.locator("#tail li")
    before = rows.count()
    broker.publish(f"streams.{stream}", Message(body, content_type=kind))
    expect(rows).to_have_count(before + 1)
    return rows.first.locator("pre").inner_text()


#: Between which pieces each thing's label may be broken.
_PIECES = """() => Object.fromEntries(document.getElementById("graph")._cyreg.cy.nodes().map(
  (node) => [node.id(), node.style("label").split("\u200b")]))"""
#: How much of the drawing's width is seen, once it has followed the window's.
_SEEN = """() => new Promise((tell) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const graph = document.getElementById("graph");
  tell(graph.clientWidth / graph._cyreg.cy.elements().renderedBoundingBox().w); })))"""
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "08d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
