"""What the console says when parts are away."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from manager.console import numbers
from streams.settings import Settings
from tests.chaos.wire import wires
from tests.console.looking import People
from tests.console.test_login import NOBODY_THERE
from tests.console.test_pages import OPERATION, UPPER
from tests.manager.serving import ADMIN, Api, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager without a broker."""
    with serving(NOBODY_THERE, f"sqlite:///{tmp_path_factory.mktemp('m')}/manager.db") as api:
        yield api


def test_a_broker_that_is_away_is_shown_as_such_and_not_as_zeros(people: People) -> None:
    page = people.enter("/streams/")
    expect(page.get_by_role("alert")).to_contain_text("The broker doesn't answer")
    events = page.get_by_role("row").filter(has_text="streamboss.events")
    expect(events.locator("td").first).to_have_text(numbers.UNKNOWN)


def test_an_empty_system_shows_the_commands_that_fill_it(served: Api, people: People) -> None:
    page = people.enter("/")
    expect(page.locator("ol.commands li")).to_have_count(4)
    page.get_by_role("button", name="Copy the command streamboss consume out").click()
    assert page.evaluate("navigator.clipboard.readText()") == "streamboss consume out &"
    # what is done already is no step any more
    assert served.post("/api/process_definition/", UPPER).status_code == 201
    newest = served.post("/api/process_definition/", UPPER).json()["id"]
    page.reload()
    expect(page.locator("ol.steps li")).to_have_count(2)
    expect(page.locator("ol.commands li")).to_have_count(3)
    expect(page.locator("ol.commands")).to_contain_text(f"create-operation upper {newest} in out")
    page.get_by_role("link", name="Connect Upper between two streams").click()
    expect(page.get_by_label("Program")).to_have_value(str(newest))


def test_an_outage_is_told_above_the_drawing_and_goes_by_itself(
    settings: Settings, browser: Browser, tmp_path: Path
) -> None:
    url = settings.need_amqp()[0]
    port = urlsplit(url).port
    assert port is not None
    with (
        wires(broker=("127.0.0.1", port)) as laid,
        serving(
            replace(settings, amqp_urls=(url.replace(f":{port}/", f":{laid['broker'].port}/"),)),
            f"sqlite:///{tmp_path}/manager.db",
        ) as api,
    ):
        assert api.post("/api/process_definition/", UPPER).status_code == 201
        assert api.post("/api/operations/", OPERATION).status_code == 201
        people = People(browser, api.url, ADMIN)
        page = people.enter(width=360)
        graph, bar = page.locator("#graph"), page.locator("main").get_by_role("alert")
        expect(graph).to_have_attribute("data-nodes", "3")
        expect(bar).to_have_count(0)
        page.evaluate("document.querySelector('#graph canvas').dataset.kept = ''")
        laid["broker"].server = ("127.0.0.1", 1)
        laid["broker"].reset()
        expect(bar).to_contain_text("The broker doesn't answer")
        told, drawn = bar.bounding_box(), graph.bounding_box()
        assert told
        assert drawn
        assert told["y"] + told["height"] <= drawn["y"]
        laid["broker"].server = ("127.0.0.1", port)
        expect(bar).to_have_count(0)
        # what is around it came anew, the drawing stayed
        expect(graph.locator("canvas[data-kept]")).to_be_visible()
        people.leave()
