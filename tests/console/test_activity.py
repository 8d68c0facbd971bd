"""What happened, in a browser and as sentences: live, endless, filtered, exported."""

import json
import re

import pytest
from playwright.sync_api import expect

from manager.console.sentences import Told, told
from manager.events import Event, state_changed
from manager.model import Role
from tests.console.looking import HOSTILE, People, obstacles, too_wide
from tests.eventually import eventually
from tests.manager.serving import Api

MANY = 130


@pytest.fixture(scope="module")
def filled(served: Api) -> Api:
    """A manager in which much has happened."""
    store = served.services.store
    store.note_events([Event("stream.created", f"s{n:03}", by="ada") for n in range(MANY)])
    store.note_events([Event("user.added", HOSTILE, {"role": HOSTILE, HOSTILE: 1}, by=HOSTILE)])
    return served


def text(sentence: Told) -> str:
    """Return a sentence with its cause."""
    why = "".join(piece.text for piece in sentence.why)
    return "".join(piece.text for piece in sentence.what) + (f" because: {why}" if why else "")


def test_an_event_is_a_sentence_with_its_cause_and_links() -> None:
    begun = state_changed(
        "operation", "up", before="idle", after="running", reason="", nodes=("n1",)
    )
    fields = {**begun.fields, "wanted_by": ["consumers.out.12ab", "operation next", "mine"]}
    sentence = told(Event(begun.event, begun.name, fields))
    assert text(sentence) == (
        "Operation up is running on n1, was idle because: wanted by a consumer of out"
        " (consumers.out.12ab), operation next, mine"
    )
    places = [piece.place for piece in (*sentence.what, *sentence.why) if piece.place]
    assert places == ["/operations/up/", "/nodes/n1/", "/streams/out/", "/operations/next/"]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event("node.renewed", "m-1", {"hours": 24.0}), "Node m-1 was renewed: for 24 hours"),
        (Event("operation.purged", "up", {"messages": 1}), "Operation up was emptied: 1 message"),
        (
            Event("operation.redriven", "up", {"messages": 2}),
            "Operation up had 2 dead letters sent back to it",
        ),
        (
            Event("operation.changed", "up", {"changes": {"demand": "paused"}}),
            "Operation up was changed: demand: paused",
        ),
        (
            Event("machine.phase", "m-1", {"from": None, "to": "launching", "reason": "for up"}),
            "Machine m-1 is launching because: for up",
        ),
        (Event("comet.seen-again", "halley", {"tail_km": [1, 2]}), "Comet halley seen again"),
    ],
)
def test_every_kind_of_event_can_be_read(event: Event, said: str) -> None:
    assert text(told(event)).startswith(said)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_activity_is_fit_for_everybody(
    filled: Api, people: People, width: int, dark: bool
) -> None:
    page = people.enter("/activity/", width=width, dark=dark)
    expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
    assert obstacles(page) == []
    assert too_wide(page) <= 0


def test_the_activity_goes_on_endlessly_and_every_place_in_it_has_an_address(
    filled: Api, people: People
) -> None:
    page = people.enter("/activity/?kind=stream&by=ada")
    rows = page.locator(".events > li")
    expect(rows.first).to_contain_text("Stream s129 was created by ada")
    place = page.get_by_role("link", name="Older").get_attribute("href") or ""

    def at_the_end() -> bool:
        page.keyboard.press("End")
        return rows.count() == MANY

    eventually(at_the_end, within_s=30, what="all rows are there")
    expect(rows.last).to_contain_text("s000")
    page.goto(filled.url + place)
    expect(rows.first).to_contain_text("s079")
    page.get_by_role("link", name="s079").click()
    page.go_back()
    expect(rows.first).to_contain_text("s079")


def test_what_happens_appears_and_nothing_that_was_read_goes(filled: Api, people: People) -> None:
    page = people.enter("/activity/?kind=stream", width=360)
    rows = page.locator(".events > li")
    page.keyboard.press("End")
    expect(rows).to_have_count(100)
    filled.post("/api/streams/", {"name": "appears"})
    expect(rows.first).to_contain_text("appears was created by boss")
    expect(rows).to_have_count(101)
    expect(rows.first.locator("time")).to_have_attribute("title", re.compile(r"^\d{4}-.* UTC$"))


def test_it_is_narrowed_by_kind_thing_and_person_and_exported(filled: Api, people: People) -> None:
    page = people.enter("/activity/", user=filled.add_user("vera", Role.VIEWER))
    page.get_by_label("Kind").select_option("stream")
    page.get_by_label("Name", exact=True).fill("S00")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".events > li")).to_have_count(10)
    expect(page.get_by_label("Name", exact=True)).to_have_value("S00")
    page.get_by_label("Name", exact=True).fill("s_0")  # no sign stands for others
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("Nothing like that has happened.")).to_be_visible()
    # links mean a whole name
    page.goto(filled.url + "/activity/?kind=stream&name=s00")
    expect(page.get_by_text("Nothing like that has happened.")).to_be_visible()
    page.goto(filled.url + "/activity/?kind=stream&name=s007")
    expect(page.locator(".events > li")).to_have_count(1)
    expect(page.get_by_text("streamboss activity --kind stream --name s007")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="activity.jsonl").click()
    (line,) = download.value.path().read_text().splitlines()
    assert (json.loads(line)["stream"], json.loads(line)["by"]) == ("s007", "ada")
